import { msToNs, nsToMs, type Clock } from '../util/clock.js';
import type { AppCollection, AppCollector } from '../collection/plan/collect-app.js';
import { isHttpMetricType, type MetricOutcome } from '../collection/pool/job.js';
import type { MissingValuesWatch } from '../collection/plan/missing-values-watch.js';
import { breachTerms, earliestFiringTime, type EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Decision } from '../evaluation/decision.js';
import type { Evaluator } from './evaluator.js';
import type { AppMetricWriter } from '../history/app-metric-writer.js';
import type { History } from '../history/history.js';
import { historyKeys } from '../history/history-key.js';
import type { LogCacheFailureKind } from '../log-cache/log-cache.js';
import { promqlWindowSecs } from '../log-cache/promql.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { AppPolicy } from '../policy/policy.js';

export interface CycleOptions {
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
  readonly evaluator: Pick<Evaluator, 'evaluate' | 'firesAmongFirst' | 'act'>;
  readonly settings: EvaluationSettings;
  readonly runWithin: (appId: string, delayMs: number) => void;
  readonly values: Pick<MissingValuesWatch, 'collected'>;
  readonly statWindowSecs: number;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
}

export interface Cycles {
  /**
   * One cycle of one app; `isLast`: also if the app is another member's by now, who cannot have made this cycle.
   * Resolves when its gauges are remembered, to whether log-cache served them well; never rejects.
   */
  run(appId: string, isLast?: boolean): Promise<boolean>;
  /** Decides and acts once more on what the history knows now, as of the app's newest app metrics. */
  reconsider(appId: string): void;
  /** Resolves when no http metric and no trigger is on its way any more. */
  posted(): Promise<void>;
}

interface Cycle {
  /** As it was when the cycle began. */
  readonly policy: AppPolicy;
  /** End of the stat window: the timestamp of all app metrics of the cycle. */
  readonly atNs: bigint;
}

/** A cycle whose gauges are remembered and whose http metrics are to come. */
interface UnfinishedCycle {
  /** Of the app's newest cycle. */
  newestNs: bigint;
  readonly ended: Promise<void>;
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
const logCacheTrouble: ReadonlySet<LogCacheFailureKind> = new Set([
  'timeout',
  'gave-up',
  'connection',
  'server-error',
]);

/**
 * The way of one app through all parts: collect, remember, decide, act. A cycle does not wait for the scaling engine,
 * which may be slow, nor gauges for http metrics, and nothing that concerns one app may end the process.
 */
export function createCycles(options: CycleOptions): Cycles {
  const { clock, logger, metrics, policyOf, policyInForce, collector, history, writer, evaluator, settings } =
    options;
  const httpWindowSecs = promqlWindowSecs(settings.collectionIntervalMs);
  const posting = new Set<Promise<unknown>>();
  const failures = new RepeatedEvents({ clock, logger, metrics });
  /** A line an hour for each of a bounded number of apps. */
  // After a restart of log-cache every app lacks a part of its window: some names tell enough.
  const uncovered = new RepeatedEvents({ clock, logger, metrics, intervalMs: 3_600_000, maxKeys: 10 });

  /** Cycles whose http metrics are still to come, by app. */
  const unfinished = new Map<string, UnfinishedCycle>();

  async function run(appId: string, isLast: boolean): Promise<boolean> {
    const policy = isLast ? policyInForce(appId) : policyOf(appId);
    if (!policy) return true;
    const before = unfinished.get(appId);
    const metricTypes = policy.rules.map((rule) => rule.metricType);
    const cycle = { policy, atNs: msToNs(clock.now()) };
    const { gauges, http } = collector.collect({
      appId,
      // An app is asked for in one query at a time.
      metricTypes: before ? metricTypes.filter((metricType) => !isHttpMetricType(metricType)) : metricTypes,
      endNs: cycle.atNs,
      statWindowSecs: options.statWindowSecs,
      httpWindowSecs,
    });
    if (before) {
      const leftOut = new Set(metricTypes.filter(isHttpMetricType)).size;
      if (leftOut > 0) metrics.collections.inc({ result: 'not-asked' }, leftOut);
    }
    const collection = await gauges;
    const current = take(collection, cycle);
    if (before) before.newestNs = cycle.atNs;
    if (http) {
      const hasFired = current !== undefined && firesEarly(current, cycle.atNs);
      finishWith(http, cycle, { gauges: collection, hasFired });
    } else {
      options.values.collected(appId, collection.outcomes.values());
      if (current) decideAndAct(current, cycle.atNs);
    }
    return ![...collection.outcomes.values()].some(
      (outcome) => outcome.kind === 'failed' && logCacheTrouble.has(outcome.failure),
    );
  }

  /**
   * Remembers the http metrics when they come, and judges the app by all that is known then, unless its cycle has ended
   * with a trigger. What came meanwhile of a newer cycle is part of it.
   */
  function finishWith(
    http: Promise<AppCollection>,
    cycle: Cycle,
    { gauges, hasFired }: { gauges: AppCollection; hasFired: boolean },
  ): void {
    const { appId } = cycle.policy;
    const end = http.then((collection) => {
      unfinished.delete(appId);
      options.values.collected(appId, [...gauges.outcomes.values(), ...collection.outcomes.values()]);
      const current = take(collection, cycle);
      if (current && !hasFired) decideAndAct(current, own.newestNs);
    });
    const ended = end.catch((error: unknown) => failures.error('round-failed', error, { appId }));
    const own = { newestNs: cycle.atNs, ended };
    unfinished.set(appId, own);
  }

  /** Counts and remembers what was found. Returns the policy to judge the app by, if it is still ours. */
  function take(collection: AppCollection, { policy, atNs }: Cycle): AppPolicy | undefined {
    const { appId } = policy;
    count(collection);
    reportFailures(appId, collection);
    // The policy may have changed, or the app gone to another member, while log-cache was asked.
    const current = policyOf(appId);
    if (current) remember(current, collection, atNs);
    // Only for its new owner, who will read it.
    else if (policyInForce(appId) === policy) remember(policy, collection, atNs, null);
    return current;
  }

  /**
   * Rules are judged in order: those before the first that needs an http metric can fire before that is known, and then
   * the cycle has ended. Others must wait for it.
   */
  function firesEarly(policy: AppPolicy, atNs: bigint): boolean {
    const rules = policy.rules.findIndex((rule) => isHttpMetricType(rule.metricType));
    const decision = rules > 0 ? evaluator.firesAmongFirst(policy, rules, atNs) : null;
    if (decision) post(decision);
    return decision !== null;
  }

  /** A failed fetch is stored nowhere: it is neither zero nor *no data*. */
  function remember(
    policy: AppPolicy,
    { outcomes }: AppCollection,
    timestampNs: bigint,
    ownHistory: CycleOptions['history'] | null = history,
  ): void {
    const { appId } = policy;
    for (const { metricType, capacity } of historyKeys(policy, settings, options.cacheSizePerApp)) {
      const outcome = outcomes.get(metricType);
      if (!outcome || outcome.kind === 'failed') continue;
      const { value, unit } = outcome.kind === 'value' ? outcome : { value: null, unit: '' };
      const appMetric = { appId, metricType, value, unit, timestampNs };
      if (!isOvertaken(appId, metricType, timestampNs)) ownHistory?.record(appMetric, capacity);
      writer.add([appMetric]);
    }
  }

  /** Whether the history has newer app metrics, as of an app that was another member's while this one came. */
  function isOvertaken(appId: string, metricType: string, timestampNs: bigint): boolean {
    const series = history.series(appId, metricType);
    if (!series || series.size === 0) return false;
    const newestNs = series.timestampAt(0);
    // One from the future is from before the wall clock went back.
    return newestNs > timestampNs && newestNs <= msToNs(clock.now());
  }

  function post(decision: Decision): void {
    const posted = evaluator.act(decision).finally(() => posting.delete(posted));
    posting.add(posted);
  }

  function decideAndAct(policy: AppPolicy, atNs: bigint): void {
    const decision = evaluator.evaluate(policy, atNs);
    if (decision.outcome === 'fired') {
      post(decision);
    } else if (decision.outcome === 'not-fired') {
      hurry(policy, atNs);
    } else if (decision.untilMs !== undefined) {
      // What holds the app back is over soon: it should not have to wait for its next regular turn.
      runSoon(policy.appId, decision.untilMs);
    }
  }

  /** Lets the next cycle fall on the moment at which a breach duration ends, instead of up to an interval later. */
  function hurry(policy: AppPolicy, atNs: bigint): void {
    for (const rule of policy.rules) {
      const series = history.series(policy.appId, rule.metricType);
      const firingNs = earliestFiringTime(series, breachTerms(rule, settings));
      // A time that has passed means that something else is missing, which another cycle would not bring.
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
      // A cycle that is not finished judges the app at its end, with values that are not known yet.
      if (!policy || unfinished.has(appId)) return;
      const newest = policy.rules
        .map((rule) => history.series(appId, rule.metricType))
        .flatMap((series) => (series && series.size > 0 ? [series.timestampAt(0)] : []))
        .reduce((latest, timestampNs) => (timestampNs > latest ? timestampNs : latest), -1n);
      // What was collected before the stat window of a next cycle says too little about now.
      if (newest > msToNs(clock.now() - settings.collectionIntervalMs)) decideAndAct(policy, newest);
    },
    async posted() {
      await Promise.all([...unfinished.values()].map(({ ended }) => ended));
      await Promise.all(posting);
    },
  };
}
