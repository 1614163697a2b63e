import type { DecisionRecorder } from '../decisions/decision-recorder.js';
import type { AppCollection, AppCollector } from '../collection/plan/collect-app.js';
import { isHttpMetricType } from '../collection/pool/job.js';
import type { MissingValuesWatch } from '../collection/plan/missing-values-watch.js';
import { breachTerms, earliestFiringTime, type EvaluationSettings } from '../evaluation/breach-rule.js';
import type { Decision } from '../evaluation/decision.js';
import type { AppMetric } from '../history/app-metric.js';
import type { AppMetricWriter } from '../history/app-metric-writer.js';
import type { History } from '../history/history.js';
import { historyKeyOf } from '../history/history-key.js';
import { promqlWindowSecs } from '../log-cache/promql.js';
import type { AppPolicy } from '../policy/policy.js';
import { msToNs, nsToMs, type Timer } from '../util/clock.js';
import { CollectionReport, isServed, type CollectionReportOptions } from './collection-report.js';
import type { Evaluator } from './evaluator.js';

export interface CycleOptions extends CollectionReportOptions {
  /** The policy in force if the app is ours, else undefined. */
  readonly policyOf: (appId: string) => AppPolicy | undefined;
  /** The policy in force, whichever member owns the app. */
  readonly policyInForce: (appId: string) => AppPolicy | undefined;
  readonly collector: AppCollector;
  readonly history: Pick<History, 'record' | 'series'>;
  readonly writer: Pick<AppMetricWriter, 'add'>;
  readonly evaluator: Pick<Evaluator, 'evaluate' | 'firesAmongFirst' | 'act'>;
  readonly settings: EvaluationSettings;
  readonly runWithin: (appId: string, delayMs: number) => void;
  readonly values: Pick<MissingValuesWatch, 'collected' | 'refresh'>;
  /** Is told of every collection, to explain decisions. */
  readonly recorder: Pick<DecisionRecorder, 'collected'>;
  readonly statWindowSecs: number;
  /** Points per ring, at least. */
  readonly cacheSizePerApp: number;
}

interface Cycle {
  /** As it was when the cycle began. */
  readonly policy: AppPolicy;
  /** End of the stat window: the timestamp of all app metrics of the cycle. */
  readonly atNs: bigint;
}

/** A cycle whose gauges are remembered and whose http metrics are still to come. */
interface UnfinishedCycle {
  /** Of the app's newest cycle. */
  newestNs: bigint;
  readonly ended: Promise<void>;
}

/**
 * The way of one app through all parts: collect, remember, decide, act. A cycle does not wait for the scaling engine,
 * which may be slow, nor do gauges wait for http metrics. Nothing that concerns one app may end the process.
 */
export class Cycles {
  readonly #report: CollectionReport;
  readonly #httpWindowSecs: number;
  readonly #posting = new Set<Promise<unknown>>();
  /** By app id. */
  readonly #unfinished = new Map<string, UnfinishedCycle>();
  /** Of apps that are judged again when a hold ends, by app id. */
  readonly #holds = new Map<string, Timer>();
  #isStopped = false;

  constructor(private readonly options: CycleOptions) {
    this.#report = new CollectionReport(options);
    this.#httpWindowSecs = promqlWindowSecs(options.settings.collectionIntervalMs);
  }

  /**
   * One cycle of one app; `isLast`: also if the app is another member's by now, which cannot have run this cycle.
   * Resolves when its gauges are remembered, to whether log-cache served them well; never rejects.
   */
  async run(appId: string, isLast = false): Promise<boolean> {
    try {
      const policy = isLast ? this.options.policyInForce(appId) : this.options.policyOf(appId);
      return policy ? await this.#run(policy) : true;
    } catch (error) {
      this.#report.cycleFailed(appId, error);
      return true;
    }
  }

  /** Decides and acts once more on what the history knows now, as of the app's newest app metrics. */
  reconsider(appId: string): void {
    const { clock, history, policyOf, settings } = this.options;
    const policy = policyOf(appId);
    // An unfinished cycle judges the app at its end, with values that are not known yet.
    if (!policy || this.#unfinished.has(appId)) return;
    const newestNs = policy.rules
      .map((rule) => history.series(appId, rule.metricType))
      .flatMap((series) => (series && series.size > 0 ? [series.timestampAt(0)] : []))
      .reduce((latest, timestampNs) => (timestampNs > latest ? timestampNs : latest), -1n);
    // App metrics that are older than an interval say too little about now.
    if (newestNs > msToNs(clock.now() - settings.collectionIntervalMs)) this.#decideAndAct(policy, newestNs);
  }

  /** Tells of failures whose line is due, and forgets apps without cycles. To be called every few seconds. */
  refresh(): void {
    this.#report.refresh();
    this.options.values.refresh();
  }

  /**
   * To be called when no cycle begins any more: judges no app again. Resolves when no http metric is to come and no
   * trigger is being posted. Idempotent.
   */
  async stop(): Promise<void> {
    this.#isStopped = true;
    for (const timer of this.#holds.values()) timer.cancel();
    this.#holds.clear();
    await Promise.all([...this.#unfinished.values()].map(({ ended }) => ended));
    await Promise.all(this.#posting);
  }

  async #run(policy: AppPolicy): Promise<boolean> {
    const { clock, collector, statWindowSecs, values } = this.options;
    const { appId } = policy;
    const cycle = { policy, atNs: msToNs(clock.now()) };
    const before = this.#unfinished.get(appId);
    const metricTypes = policy.rules.map((rule) => rule.metricType);
    const { gauges, http } = collector.collect({
      appId,
      // Queries of one app do not overlap.
      metricTypes: before ? metricTypes.filter((metricType) => !isHttpMetricType(metricType)) : metricTypes,
      endNs: cycle.atNs,
      statWindowSecs,
      httpWindowSecs: this.#httpWindowSecs,
    });
    if (before) this.#report.notAsked(new Set(metricTypes.filter(isHttpMetricType)).size);
    const collection = await gauges;
    const current = this.#take(collection, cycle);
    if (before) before.newestNs = cycle.atNs;
    if (http) {
      const hasFired = current !== undefined && this.#firesEarly(current, cycle.atNs);
      this.#finishWith(http, cycle, collection, hasFired);
    } else {
      values.collected(appId, collection.outcomes.values());
      if (current) this.#decideAndAct(current, cycle.atNs);
    }
    return isServed(collection);
  }

  /**
   * Remembers the http metrics when they come, and judges the app by all that is known then, gauges of newer cycles
   * included. If the cycle has posted a trigger already, the app is not judged again.
   */
  #finishWith(http: Promise<AppCollection>, cycle: Cycle, gauges: AppCollection, hasFired: boolean): void {
    const { appId } = cycle.policy;
    const ended = http
      .then((collection) => {
        this.#unfinished.delete(appId);
        const outcomes = [...gauges.outcomes.values(), ...collection.outcomes.values()];
        this.options.values.collected(appId, outcomes);
        const current = this.#take(collection, cycle);
        if (current && !hasFired) this.#decideAndAct(current, unfinished.newestNs);
      })
      .catch((error: unknown) => this.#report.cycleFailed(appId, error));
    const unfinished = { newestNs: cycle.atNs, ended };
    this.#unfinished.set(appId, unfinished);
  }

  /** Reports and remembers what was found. Returns the policy to judge the app by, if the app is still ours. */
  #take(collection: AppCollection, { policy, atNs }: Cycle): AppPolicy | undefined {
    const { history, policyOf, policyInForce, recorder } = this.options;
    const { appId } = policy;
    this.#report.collected(appId, collection);
    recorder.collected(appId, collection.outcomes);
    // The policy may have changed, or the app moved to another member, while log-cache was asked.
    const current = policyOf(appId);
    if (current) this.#remember(current, collection, atNs, history);
    // The new owner will read it.
    else if (policyInForce(appId) === policy) this.#remember(policy, collection, atNs, null);
    return current;
  }

  /** A failed fetch is not stored: it is neither zero nor *no data*. */
  #remember(
    policy: AppPolicy,
    { outcomes }: AppCollection,
    timestampNs: bigint,
    history: CycleOptions['history'] | null,
  ): void {
    const { cacheSizePerApp, settings, writer } = this.options;
    const { appId } = policy;
    const appMetrics: AppMetric[] = [];
    for (const [metricType, outcome] of outcomes) {
      const isNeeded = policy.rules.some((rule) => rule.metricType === metricType);
      if (outcome.kind === 'failed' || !isNeeded) continue;
      const { value, unit } = outcome.kind === 'value' ? outcome : { value: null, unit: '' };
      const appMetric = { appId, metricType, value, unit, timestampNs };
      appMetrics.push(appMetric);
      if (!history || this.#isOvertaken(appId, metricType, timestampNs)) continue;
      history.record(appMetric, historyKeyOf(policy, metricType, settings, cacheSizePerApp).capacity);
    }
    writer.add(appMetrics);
  }

  /** Whether the history has newer app metrics, as of an app that was another member's meanwhile. */
  #isOvertaken(appId: string, metricType: string, timestampNs: bigint): boolean {
    const series = this.options.history.series(appId, metricType);
    if (!series || series.size === 0) return false;
    const newestNs = series.timestampAt(0);
    // One from the future dates from before the wall clock was set back.
    return newestNs > timestampNs && newestNs <= msToNs(this.options.clock.now());
  }

  /**
   * Rules are judged in order: those before the first that needs an http metric can fire before it is known, and then
   * the cycle has ended. The others must wait for it.
   */
  #firesEarly(policy: AppPolicy, atNs: bigint): boolean {
    const rules = policy.rules.findIndex((rule) => isHttpMetricType(rule.metricType));
    const decision = rules > 0 ? this.options.evaluator.firesAmongFirst(policy, rules, atNs) : null;
    if (decision) this.#post(policy.appId, decision, atNs);
    return decision !== null;
  }

  #decideAndAct(policy: AppPolicy, atNs: bigint): void {
    const decision = this.options.evaluator.evaluate(policy, atNs);
    if (decision.outcome === 'fired') {
      this.#post(policy.appId, decision, atNs);
    } else if (decision.outcome === 'not-fired') {
      this.#runWhenARuleMayFire(policy, atNs);
    } else {
      this.#lookWhenHoldEnds(policy.appId, decision, atNs);
    }
  }

  #post(appId: string, decision: Decision, atNs: bigint): void {
    const posted = this.options.evaluator
      .act(decision)
      .then((done) => this.#lookWhenHoldEnds(appId, done, atNs))
      .finally(() => this.#posting.delete(posted));
    this.#posting.add(posted);
  }

  /**
   * Looks at a held app again when the hold ends, not at its next regular cycle. If its app metrics are still recent then,
   * they are judged again without a collection. While the scaling engine hangs, holds end every two seconds, and as many
   * collections would push out of the histories what long rules need.
   */
  #lookWhenHoldEnds(appId: string, decision: Decision, atNs: bigint): void {
    if (decision.outcome !== 'held' || decision.untilMs === undefined || this.#isStopped) return;
    const { clock, settings } = this.options;
    const { untilMs } = decision;
    if (untilMs - nsToMs(atNs) >= settings.collectionIntervalMs / 2) return this.#runSoon(appId, untilMs);
    this.#holds.get(appId)?.cancel();
    const timer = clock.setTimer(untilMs - clock.now(), () => {
      this.#holds.delete(appId);
      this.reconsider(appId);
    });
    this.#holds.set(appId, timer);
  }

  /** Lets the next cycle fall on the moment at which a breach duration ends, instead of up to an interval later. */
  #runWhenARuleMayFire(policy: AppPolicy, atNs: bigint): void {
    const { history, settings } = this.options;
    for (const rule of policy.rules) {
      const series = history.series(policy.appId, rule.metricType);
      const firingNs = earliestFiringTime(series, breachTerms(rule, settings));
      // A time that has passed means that something else is missing, which another cycle would not bring.
      if (firingNs === null || firingNs < atNs) continue;
      this.#runSoon(policy.appId, nsToMs(firingNs) + 1);
    }
  }

  #runSoon(appId: string, atMs: number): void {
    const { clock, runWithin, settings } = this.options;
    const delayMs = atMs - clock.now();
    if (delayMs < settings.collectionIntervalMs) runWithin(appId, delayMs);
  }
}
