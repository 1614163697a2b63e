import { msToNs, nsToMs, type Clock } from './clock.js';
import { collectApp, type AppCollection, type Collector } from './collection/collect-app.js';
import type { FailureKind } from './log-cache/log-cache.js';
import type { AppMetric } from './history/app-metric.js';
import type { Logger } from './observability/logger.js';
import type { Metrics } from './observability/metrics.js';
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
  >;
  /** The policy in force if the app is ours, else undefined. */
  readonly policyOf: (appId: string) => AppPolicy | undefined;
  readonly collector: Collector;
  readonly history: { record(policy: AppPolicy, appMetric: AppMetric): void };
  readonly writer: { add(appMetric: AppMetric): void };
  readonly evaluator: {
    /** Decides and, where a rule fires, posts; does not wait for the answer. */
    evaluate(policy: AppPolicy, atNs: bigint): void;
    /** ns since the epoch just after which a rule in breach can fire at the earliest, or null. */
    nextFiringTime(policy: AppPolicy, atNs: bigint): bigint | null;
  };
  readonly runWithin: (appId: string, delayMs: number) => void;
  readonly statWindowSecs: number;
  readonly collectionIntervalMs: number;
}

/** Failures that say something about log-cache as a whole, not about one app's envelopes or permissions. */
const logCacheTrouble: ReadonlySet<FailureKind> = new Set(['timeout', 'connection', 'server-error']);

/**
 * One round of one app: collect, remember, decide, act. The result tells whether log-cache served it well;
 * the promise never rejects, because nothing that concerns one app may end the process.
 */
export function createRound(options: RoundOptions): (appId: string) => Promise<boolean> {
  const { clock, logger, metrics, policyOf, collector, history, writer, evaluator } = options;

  return async function round(appId) {
    try {
      const policy = policyOf(appId);
      if (!policy) return true;
      const endNs = msToNs(clock.now());
      const collection = await collectApp(
        {
          appId,
          metricTypes: new Set(policy.rules.map((rule) => rule.metricType)),
          endNs,
          statWindowSecs: options.statWindowSecs,
          collectionIntervalMs: options.collectionIntervalMs,
        },
        collector,
      );
      count(collection);
      // The policy may have changed, or the app gone to another member, while log-cache was asked.
      const current = policyOf(appId);
      if (current) {
        remember(current, collection, endNs);
        evaluator.evaluate(current, endNs);
        hurry(current, endNs);
      }
      return ![...collection.outcomes.values()].some(
        (outcome) => outcome.kind === 'failed' && logCacheTrouble.has(outcome.failure),
      );
    } catch (error) {
      logger.error('round-failed', error, { app_id: appId });
      return true;
    }
  };

  /** A failed fetch is stored nowhere: it is neither zero nor *no data*. */
  function remember(policy: AppPolicy, collection: AppCollection, timestampNs: bigint): void {
    for (const [metricType, outcome] of collection.outcomes) {
      if (outcome.kind === 'failed') continue;
      const measured = outcome.kind === 'value' ? outcome : { value: null, unit: '' };
      const appMetric = {
        appId: policy.appId,
        metricType,
        value: measured.value,
        unit: measured.unit,
        timestampNs,
      };
      history.record(policy, appMetric);
      writer.add(appMetric);
    }
  }

  /** Lets the next round fall on the moment at which a breach duration ends, instead of up to an interval later. */
  function hurry(policy: AppPolicy, endNs: bigint): void {
    const firingNs = evaluator.nextFiringTime(policy, endNs);
    // What can fire already is held back by something that another round would not change.
    if (firingNs === null || firingNs <= endNs) return;
    const delayMs = nsToMs(firingNs) + 1 - clock.now();
    if (delayMs < options.collectionIntervalMs) options.runWithin(policy.appId, delayMs);
  }

  function count({ outcomes, cost }: AppCollection): void {
    for (const outcome of outcomes.values()) {
      const result =
        outcome.kind === 'failed' ? outcome.failure : outcome.kind === 'value' ? 'value' : 'no_data';
      metrics.collections.inc({ result });
    }
    metrics.logCacheRequests.inc(cost.requests);
    metrics.logCachePages.inc(cost.pages);
    metrics.logCacheEnvelopes.inc(cost.envelopes);
    metrics.logCacheBytes.inc(cost.bytes);
    metrics.samplesDropped.inc(cost.droppedSamples);
  }
}
