import type { Collector } from '../../src/collection/plan/authorized-collector.js';
import { createAppCollector } from '../../src/collection/plan/collect-app.js';
import { Coverage } from '../../src/collection/plan/coverage.js';
import { HttpTimerEvidence } from '../../src/collection/plan/http-timer-evidence.js';
import type { MetricOutcome } from '../../src/collection/pool/job.js';
import { runJob } from '../../src/collection/worker/run-job.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { gauge, logCacheOf, SimulatedStore } from '../log-cache/simulated-log-cache.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { wholeCycle } from './whole-cycle.js';

export const queries = { isUp: () => true };

export const second = 1_000_000_000n;
export const startNs = 1_755_700_000n * second;
export const intervalSecs = 40;

/** Apps whose cycles come one interval after the other, all at the same time. */
export function trustScene() {
  const clock = new ManualClock();
  const store = new SimulatedStore();
  const { logger, lines } = recordingLogger();
  const metrics = createMetrics();
  const coverage = new Coverage();
  const histories = { areRead: true };
  const historiesAreRead = () => histories.areRead;
  const evidence = new HttpTimerEvidence({ clock, logger, metrics, historiesAreRead });
  const rates = new Map<string, number>();
  store.query = ({ query }) => {
    store.queries.push({ query, timeSecs: 0 });
    return [...rates]
      .filter(([appId, value]) => value > 0 && query.includes(appId))
      .map(([appId, value]) => ({ labels: { source_id: appId, instance_id: '0' }, value }));
  };
  const logCache = logCacheOf(store);
  const run: Collector['run'] = (job) => runJob({ ...job, authorization: null }, logCache, clock);
  const apps = createAppCollector({ collector: { run }, queries }, clock, { coverage, evidence });
  let endNs = startNs;
  /** The throughput of each app, or the reason why there is none. */
  const cycle = async (metricTypes: readonly string[] = ['throughput'], appIds = [...rates.keys()]) => {
    endNs += BigInt(intervalSecs) * second;
    for (const appId of appIds) store.add(gauge(endNs - second, 'cpu', 1, { sourceId: appId }));
    const collections = appIds.map((appId) =>
      wholeCycle(
        apps.collect({ appId, metricTypes, endNs, statWindowSecs: 120, httpWindowSecs: intervalSecs }),
      ),
    );
    for (let i = 0; i < 3; i++) await clock.advance(10);
    const outcomes = (await Promise.all(collections)).map((each) => each.outcomes.get('throughput'));
    await clock.advance(intervalSecs * 1_000 - 30);
    return outcomes.map(valueOrReason);
  };
  const now = () => endNs;
  const skip = (secs: number) => (endNs += BigInt(secs) * second);
  const setClockBack = (secs: number) => skip(-secs);
  return {
    clock,
    skip,
    setClockBack,
    store,
    lines,
    metrics,
    coverage,
    evidence,
    histories,
    rates,
    cycle,
    now,
  };
}

export function valueOrReason(outcome: MetricOutcome | undefined): number | string | undefined {
  if (outcome?.kind === 'value') return Number(outcome.value);
  return outcome?.kind === 'no-data' ? (outcome.reason ?? 'no-data') : outcome?.kind;
}
