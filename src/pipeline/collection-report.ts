import type { AppCollection } from '../collection/plan/collect-app.js';
import type { MetricOutcome } from '../collection/pool/job.js';
import type { LogCacheFailureKind } from '../log-cache/log-cache.js';
import { FailingApps } from '../observability/failing-apps.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Clock } from '../util/clock.js';

export interface CollectionReportOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Metrics;
}

/** Failures that say something about log-cache as a whole, not about one app's envelopes or permissions. */
const logCacheTrouble: ReadonlySet<LogCacheFailureKind> = new Set([
  'timeout',
  'gave-up',
  'connection',
  'server-error',
]);

/** Whether log-cache served the app well. */
export function isServed({ outcomes }: AppCollection): boolean {
  return ![...outcomes.values()].some(
    (outcome) => outcome.kind === 'failed' && logCacheTrouble.has(outcome.failure),
  );
}

/** Counts and logs what collections found. */
export class CollectionReport {
  readonly #failures: FailingApps;
  readonly #defects: RepeatedEvents;
  /** One line an hour for each of ten apps: after a restart of log-cache every app lacks a part of its window. */
  readonly #uncovered: RepeatedEvents;

  constructor(private readonly options: CollectionReportOptions) {
    const { clock, logger, metrics } = options;
    this.#failures = new FailingApps({ clock, logger, metrics, event: 'collection-failed' });
    this.#defects = new RepeatedEvents({ clock, logger, metrics });
    this.#uncovered = new RepeatedEvents({ clock, logger, metrics, lineIntervalMs: 3_600_000, maxKeys: 10 });
  }

  collected(appId: string, { outcomes, cost }: AppCollection): void {
    const { metrics } = this.options;
    for (const [metricType, outcome] of outcomes) {
      metrics.collections.inc({ result: resultOf(outcome) });
      if (outcome.kind !== 'value') this.#log(appId, metricType, outcome);
    }
    metrics.logCacheRequests.inc(cost.requests);
    metrics.logCachePages.inc(cost.pages);
    metrics.logCacheEnvelopes.inc(cost.envelopes);
    metrics.logCacheBytes.inc(cost.bytes);
    metrics.samplesDropped.inc(cost.droppedSamples);
  }

  /** Metric types that were left out, because an earlier query for them is still under way. */
  notAsked(metricTypes: number): void {
    if (metricTypes > 0) this.options.metrics.collections.inc({ result: 'not-asked' }, metricTypes);
  }

  cycleFailed(appId: string, error: unknown): void {
    this.#defects.error('round-failed', error, { appId });
  }

  /** To be called every few seconds. */
  refresh(): void {
    this.#failures.refresh();
  }

  #log(appId: string, metricType: string, outcome: Exclude<MetricOutcome, { kind: 'value' }>): void {
    if (outcome.kind === 'failed') {
      const { failure, message } = outcome;
      this.#failures.failed(failure, appId, new Error(message), { metricType, failure });
    } else if (outcome.reason === 'not-covered') {
      this.#uncovered.info('window-not-covered', { appId, metricType }, appId);
    }
  }
}

const noDataLabels = {
  'no-data': 'no_data',
  'not-covered': 'not_covered',
  'no-http-timers': 'no_http_timers',
} as const;

/** Label of the metric of collections. */
function resultOf(outcome: MetricOutcome) {
  if (outcome.kind === 'failed') return outcome.failure;
  return outcome.kind === 'value' ? 'value' : noDataLabels[outcome.reason ?? 'no-data'];
}
