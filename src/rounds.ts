import { msToNs, nsToMs, type Clock } from './clock.js';
import type { AppCollection, AppCollector } from './collection/collect-app.js';
import type { MetricOutcome } from './collection/job.js';
import type { ValuesWatch } from './collection/values-watch.js';
import { breachTerms, earliestFiringTime, type EvaluationSettings } from './evaluation/breach-rule.js';
import type { Evaluator } from './evaluation/evaluator.js';
import type { AppMetricWriter } from './history/app-metric-writer.js';
import type { History } from './history/history.js';
import { historyKeys } from './history/history-key.js';
import type { FailureKind } from './log-cache/log-cache.js';
import { promqlWindowSecs } from './log-cache/promql.js';
import type { Logger } from './observability/logger.js';
import type { Metrics } from './observability/metrics.js';
import { RepeatedEvents } from './observability/repeated-events.js';
import type { AppPolicy } from './policy/policy.js';

export interface RoundOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    | 'collections'
    | 'logCacheRequests'
    | 'logCachePages'
    | 'logCacheEnvelopes'
    | 'logCacheBytes'
    | 'samplesDropped'
    | 'logLinesSuppressed'
  >;
  /** The policy in force if the app is ours, else undefined. */
  readonly policyOf: (appId: string) => AppPolicy | undefined;
  /** The policy in force, whoever owns the app. */
  readonly policyInForce: (appId: string) => AppPolicy | undefined;
  readonly collector: AppCollector;
  readonly history: Pick<History, 'record' | 'series'>;
  readonly writer: Pick<AppMetricWriter, 'add'>;
  readonly evaluator: Pick<Evaluator, 'evaluate' | 'act'>;
  readonly settings: EvaluationSettings;
  readonly runWithin: (appId: string, delayMs: number) => void;
  readonly values: Pick<ValuesWatch, 'round'>;
  readonly statWindowSecs: number;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
}

export interface Rounds {
  /**
   * One round of one app; `isLast`: also if the app is another member's by now, who cannot have made this round.
   * Resolves to whether log-cache served it well; never rejects.
   */
  run(appId: string, isLast?: boolean): Promise<boolean>;
  /** Decides and acts once more on what the history knows now, as of the app's newest app metrics. */
  reconsider(appId: string): void;
  /** Resolves when no trigger is on its way any more. */
  posted(): Promise<void>;
}

/** Label of the metric of collections. */
function resultOf(outcome: MetricOutcome): string {
  switch (outcome.kind) {
    case 'failed':
      return outcome.failure;
    case 'value':
      return 'value';
    case 'no-data':
      return (outcome.reason ?? 'no-data').replaceAll('-', '_');
  }
}

/** Failures that say something about log-cache as a whole, not about one app's envelopes or permissions. */
const logCacheTrouble: ReadonlySet<FailureKind> = new Set(['timeout', 'connection', 'server-error']);

/**
 * The way of one app through all parts: collect, remember, decide, act. A round does not wait for the scaling engine,
 * which may be slow, and nothing that concerns one app may end the process.
 */
export function createRounds(options: RoundOptions): Rounds {
  const { clock, logger, metrics, policyOf, policyInForce, collector, history, writer, evaluator, settings } =
    options;
  const httpWindowSecs = promqlWindowSecs(settings.collectionIntervalMs);
  const posting = new Set<Promise<unknown>>();
  const failures = new RepeatedEvents({ clock, logger, metrics });
  /** A line an hour for each of a bounded number of apps. */
  const uncovered = new RepeatedEvents({ clock, logger, metrics, intervalMs: 3_600_000 });

  async function run(appId: string, isLast: boolean): Promise<boolean> {
    const policy = isLast ? policyInForce(appId) : policyOf(appId);
    if (!policy) return true;
    const endNs = msToNs(clock.now());
    const collection = await collector.collect({
      appId,
      metricTypes: policy.rules.map((rule) => rule.metricType),
      endNs,
      statWindowSecs: options.statWindowSecs,
      httpWindowSecs,
    });
    count(collection);
    reportFailures(appId, collection);
    options.values.round(appId, collection.outcomes.values());
    // The policy may have changed, or the app gone to another member, while log-cache was asked.
    const current = policyOf(appId);
    if (current) {
      remember(current, collection, endNs);
      decideAndAct(current, endNs);
    } else if (policyInForce(appId) === policy) {
      // Only for its new owner, who will read it.
      remember(policy, collection, endNs, null);
    }
    return ![...collection.outcomes.values()].some(
      (outcome) => outcome.kind === 'failed' && logCacheTrouble.has(outcome.failure),
    );
  }

  /** A failed fetch is stored nowhere: it is neither zero nor *no data*. */
  function remember(
    policy: AppPolicy,
    { outcomes }: AppCollection,
    timestampNs: bigint,
    ownHistory: RoundOptions['history'] | null = history,
  ): void {
    const { appId } = policy;
    for (const { metricType, capacity } of historyKeys(policy, settings, options.cacheSizePerApp)) {
      const outcome = outcomes.get(metricType);
      if (!outcome || outcome.kind === 'failed') continue;
      const { value, unit } = outcome.kind === 'value' ? outcome : { value: null, unit: '' };
      const appMetric = { appId, metricType, value, unit, timestampNs };
      ownHistory?.record(appMetric, capacity);
      writer.add([appMetric]);
    }
  }

  function decideAndAct(policy: AppPolicy, atNs: bigint): void {
    const decision = evaluator.evaluate(policy, atNs);
    if (decision.outcome === 'fired') {
      const post = evaluator.act(decision).finally(() => posting.delete(post));
      posting.add(post);
    } else if (decision.outcome === 'not-fired') {
      hurry(policy, atNs);
    } else if (decision.untilMs !== undefined) {
      // What holds the app back is over soon: it should not have to wait for its next regular turn.
      runSoon(policy.appId, decision.untilMs);
    }
  }

  /** Lets the next round fall on the moment at which a breach duration ends, instead of up to an interval later. */
  function hurry(policy: AppPolicy, atNs: bigint): void {
    for (const rule of policy.rules) {
      const series = history.series(policy.appId, rule.metricType);
      const firingNs = earliestFiringTime(series, breachTerms(rule, settings));
      // A time that has passed means that something else is missing, which another round would not bring.
      if (firingNs === null || firingNs < atNs) continue;
      runSoon(policy.appId, nsToMs(firingNs) + 1);
    }
  }

  function runSoon(appId: string, atMs: number): void {
    const delayMs = atMs - clock.now();
    if (delayMs < settings.collectionIntervalMs) options.runWithin(appId, delayMs);
  }

  function count({ outcomes, cost }: AppCollection): void {
    for (const outcome of outcomes.values()) {
      metrics.collections.inc({ result: resultOf(outcome) });
    }
    metrics.logCacheRequests.inc(cost.requests);
    metrics.logCachePages.inc(cost.pages);
    metrics.logCacheEnvelopes.inc(cost.envelopes);
    metrics.logCacheBytes.inc(cost.bytes);
    metrics.samplesDropped.inc(cost.droppedSamples);
  }

  /** One line a minute for each kind: an outage fails all apps, and the metrics count them. */
  function reportFailures(appId: string, { outcomes }: AppCollection): void {
    for (const [metricType, outcome] of outcomes) {
      if (outcome.kind === 'no-data' && outcome.reason === 'not-covered') {
        uncovered.info('window-not-covered', { appId, metricType }, appId);
      }
      if (outcome.kind !== 'failed') continue;
      const { failure, message } = outcome;
      const facts = { appId, metricType, failure };
      failures.error('collection-failed', new Error(message), facts, `collection-failed ${failure}`);
    }
  }

  return {
    run: (appId, isLast = false) =>
      run(appId, isLast).catch((error: unknown) => {
        failures.error('round-failed', error, { appId });
        return true;
      }),
    reconsider(appId) {
      const policy = policyOf(appId);
      if (!policy) return;
      const newest = policy.rules
        .map((rule) => history.series(appId, rule.metricType))
        .flatMap((series) => (series && series.size > 0 ? [series.timestampAt(0)] : []))
        .reduce((latest, timestampNs) => (timestampNs > latest ? timestampNs : latest), -1n);
      // What was collected before the stat window of a next round says too little about now.
      if (newest > msToNs(clock.now() - settings.collectionIntervalMs)) decideAndAct(policy, newest);
    },
    async posted() {
      await Promise.all(posting);
    },
  };
}
