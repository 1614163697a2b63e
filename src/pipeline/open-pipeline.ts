import type { Config } from '../config/config.js';
import { tableNames } from '../database/table-names.js';
import type { DecisionsReader } from '../decisions/open-decisions.js';
import { chartPointsReader, type ReadChartPoints } from '../history/chart-points.js';
import type { HistoryQuery, HistoryReader } from '../history/history-reader.js';
import { createReaderShare } from '../history/reader-share.js';
import { keepGaugesFresh } from '../observability/fresh-gauges.js';
import type { OwnershipParts } from '../ownership/open-ownership.js';
import type { ProcessContext } from '../observability/process-context.js';
import { endsWithin } from '../util/clock.js';
import type { Releasers } from '../util/releasers.js';
import { openParts, type Parts, type PipelineEnds } from './parts.js';

export interface Pipeline {
  readonly ownership: OwnershipParts;
  /** Reads the memory of apps that are ours, and the database for all others. */
  readonly historyReader: HistoryReader;
  /** Reads the database alone. */
  readonly readChartPoints: ReadChartPoints;
  readonly decisions: DecisionsReader;
  /** Of this process, for people. */
  breakers(): readonly { readonly name: string; readonly state: string }[];
  /** Whether there are http timers, as far as that can be told. */
  readonly httpTimers: { isUp(): boolean };
  /** Resolves when the policies were read completely for the first time. */
  readonly policiesRead: Promise<void>;
  /** Begins to work. When it is released it hands over, ends what is under way, and writes what waits. */
  start(releasers: Releasers): void;
}

/** How long cycles and posts that are under way may take when the process stops. */
const cyclesDeadlineMs = 1_500;
const flushDeadlineMs = 1_500;
const saveDeadlineMs = 500;
/** Share of appmetrics_db's connections for the API; the lease and the writer need some as well. */
const readersShare = 0.5;

/** Opens all that lies between log-cache and the scaling engine. Rejects when a part cannot be built. */
export async function openPipeline(
  config: Config,
  context: ProcessContext,
  releasers: Releasers,
  ends: PipelineEnds,
): Promise<Pipeline> {
  const parts = await openParts(config, context, releasers, ends);
  const { ownership, ownedApps, history, store, httpTimers, policies } = parts;
  const { reader: decisions } = parts.decisions;
  const connections = ends.databases.appMetricsDb.stats().maxOpenConnections;
  const fromDatabase = createReaderShare(
    Math.max(1, Math.floor(connections * readersShare)),
    context.clock,
    (query: HistoryQuery) => store.stream(query),
  );
  return {
    ownership,
    decisions,
    breakers: () => [
      { name: 'Scaling engine', state: parts.breakers.sharedState },
      { name: 'PromQL queries', state: ends.logCache.queries.isUp() ? 'closed' : 'open' },
    ],
    readChartPoints: chartPointsReader(ends.databases.appMetricsDb, tableNames(config.evaluator.mode)),
    historyReader: {
      fromMemory: (query) => (ownedApps.policyOf(query.appId) ? history.range(query) : null),
      fromDatabase,
    },
    httpTimers,
    policiesRead: policies.firstRead,
    start: (startReleasers) => startParts(parts, context, ends, startReleasers),
  };
}

/** Releasers run in reverse order: what is handed over first stands last. */
function startParts(
  parts: Parts,
  { clock, logger, metrics }: ProcessContext,
  { logCache }: PipelineEnds,
  releasers: Releasers,
): void {
  const { ownership, ownedApps, decisions, evaluator, cycles, schedule, takeover, writer, policies } = parts;
  const { observed } = parts;
  if (observed) releasers.add('observed app metrics', () => observed.stop());
  releasers.add('app metric writer', () => writer.flush(flushDeadlineMs));
  releasers.add('decision writer', () => decisions.writer.stop());
  releasers.add('warm-up', () => parts.warmUp.stop());
  releasers.add('takeover', () => takeover.stop());
  releasers.add('cycles', async () => {
    const ended = schedule.stop().then(() => cycles.stop());
    await endsWithin(clock, cyclesDeadlineMs, ended);
  });
  releasers.add('policy poller', () => policies.stop());
  const appsByReason = () => countsOf(decisions.recorder.count(), ownedApps.size);
  const sources = { parts: [evaluator, cycles, policies], appsByReason, pool: logCache.pool };
  releasers.add('gauges', keepGaugesFresh({ clock, metrics, ...sources }));
  releasers.add('ownership of apps', async () => {
    // The new owners read what is written by then.
    await endsWithin(clock, saveDeadlineMs, writer.saveNow());
    await ownership.leave();
  });

  observed?.start();
  writer.start();
  decisions.writer.start();
  policies.onChange((changes) => {
    ownedApps.use(changes);
    const ruleless = changes.changed.filter((appId) => policies.policyOf(appId)?.rules.length === 0);
    decisions.writer.remove([...changes.removed, ...ruleless], (appId) => !policies.hasPolicy(appId));
  });
  ownership.ownership.onChange(() => policies.ownershipChanged());
  ownership.ownership.onChange(() =>
    evaluator.heldFor('lease-lost').forEach((appId) => cycles.reconsider(appId)),
  );
  void policies.firstRead.then(() => {
    const { staticShare } = ownership;
    if (staticShare) logger.info('ownership.static-share', { ...staticShare, appsOwned: ownedApps.size });
  });
  policies.start();
  ownership.start();
}

/** All apps that are owned: those that were not evaluated yet are `unknown`. */
function countsOf(recorded: Map<string, number>, owned: number): ReadonlyMap<string, number> {
  const evaluated = [...recorded.values()].reduce((sum, apps) => sum + apps, 0);
  return recorded.set('unknown', (recorded.get('unknown') ?? 0) + Math.max(0, owned - evaluated));
}
