import type { KnownCoolDown } from '../ownership/elastic-claims.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { DecisionRecorder } from '../decisions/decision-recorder.js';
import { directionOf, operators, type AppPolicy, type Direction } from '../policy/policy.js';
import type { SharedState } from '../scaling-engine/breakers.js';
import { isOperator, type EvaluationSettings } from '../evaluation/breach-rule.js';
import { decide, notBreached, type Gate, type Histories } from '../evaluation/decide.js';
import { labelOf, type Decision, type HeldReason } from '../evaluation/decision.js';
import { nsToMs } from '../util/clock.js';
import { Poster, type Fired, type PosterOptions } from '../scaling-engine/poster.js';

export interface EvaluatorOptions extends PosterOptions {
  readonly history: Histories;
  readonly metrics: Metrics;
  readonly settings: EvaluationSettings;
  /** Is told of every decision, to explain it. */
  readonly recorder: Pick<DecisionRecorder, 'decided' | 'forget'>;
}

const sharedStateValues: Readonly<Record<SharedState, number>> = { closed: 0, 'half-open': 1, open: 2 };

/** Policies with an unknown operator that the log names in a minute. */
const namedPerMinute = 20;

interface AppRecord {
  /** As it was evaluated last. */
  readonly app: AppPolicy;
  /** The newest decision; null where no rule fired, which is what most apps have. */
  lastDecision: Exclude<Decision, { outcome: 'not-fired' }> | null;
}

/**
 * Decides, then acts, for one app at a time. Remembers an app from its first evaluation until it is forgotten: the
 * caller must forget apps that it no longer owns and apps without a policy.
 */
export class Evaluator {
  readonly #poster: Poster;
  readonly #repeated: RepeatedEvents;
  #unknownOperators = 0;
  readonly #apps = new Map<string, AppRecord>();

  constructor(private readonly options: EvaluatorOptions) {
    this.#poster = new Poster(options);
    this.#repeated = new RepeatedEvents(options);
  }

  /** What should be done for the app at atNs, the time of its newest app metrics; nothing is posted. */
  evaluate(app: AppPolicy, atNs: bigint): Decision {
    const { history, settings } = this.options;
    this.#recordOf(app);
    this.#forgetIgnoredIfNotBreached(app, atNs);
    return this.#record(app, atNs, decide(app, history, atNs, this.#gateOf(app.appId), settings));
  }

  /**
   * What the first `count` rules alone decide, if one of them fires: the rules after it do not matter then. Else null,
   * and nothing is recorded: the app is to be evaluated as a whole.
   */
  firesAmongFirst(app: AppPolicy, count: number, atNs: bigint): Decision | null {
    const { history, settings } = this.options;
    const first = { ...app, rules: app.rules.slice(0, count) };
    const decision = decide(first, history, atNs, this.#gateOf(app.appId), settings);
    return decision.outcome === 'fired' ? this.#record(app, atNs, decision) : null;
  }

  #record(app: AppPolicy, atNs: bigint, decision: Decision): Decision {
    const { logger, metrics, recorder } = this.options;
    this.#recordOf(app).lastDecision = decision.outcome === 'not-fired' ? null : decision;
    metrics.evaluations.inc({ outcome: labelOf(decision) });
    logger.debug('evaluated', { appId: app.appId, atMs: nsToMs(atNs), ...factsOf(decision) });
    recorder.decided(app, decision);
    return decision;
  }

  /**
   * Posts what fired. Returns the decision, or why the trigger was held back just before the post; `not-fired` without
   * verdicts if it is not due any more. Never rejects.
   */
  async act(decision: Decision): Promise<Decision> {
    if (decision.outcome !== 'fired') return decision;
    const appId = decision.trigger.app_id;
    const before = this.#apps.get(appId);
    const done = await this.#poster.post(
      decision,
      () => this.#apps.get(appId) === before && stillFires(decision, before),
    );
    const record = this.#apps.get(appId);
    if (!record) this.#forgetState(appId);
    if (!done) return { outcome: 'not-fired', verdicts: [] };
    if (record?.lastDecision === decision && done.outcome !== 'not-fired') record.lastDecision = done;
    if (record && done.outcome === 'held') this.options.recorder.decided(record.app, done);
    return done;
  }

  /** Apps whose newest decision was held back for this reason. */
  heldFor(reason: HeldReason): string[] {
    return [...this.#apps]
      .filter(([, { lastDecision }]) => lastDecision?.outcome === 'held' && lastDecision.reason === reason)
      .map(([appId]) => appId);
  }

  /**
   * A new version of a policy may have mended what triggers were rejected for. The next evaluation would notice it as
   * well; calling this corrects at once the state that others see.
   */
  policyChanged(app: AppPolicy): void {
    this.#recordOf(app);
  }

  /** For an app that was gained: what other members know of it. Wall-clock ms; null: nothing. */
  restore(app: AppPolicy, known: KnownCoolDown): void {
    const { gates } = this.options;
    if (known.coolDownUntilMs !== null) gates.coolDown(app.appId, known.coolDownUntilMs);
    const untilMs = { out: known.ignoredOutUntilMs, in: known.ignoredInUntilMs };
    for (const direction of ['out', 'in'] as const) {
      // Others do not know which rule was ignored: the first of its direction is the likeliest.
      const rule = app.rules.find((each) => directionOf(each) === direction);
      const ignoredUntilMs = untilMs[direction];
      if (rule && ignoredUntilMs !== null) gates.ignoredElsewhere(app.appId, rule, ignoredUntilMs);
    }
  }

  /** The app is no longer owned, or has no policy. The result of a post in flight is dropped as well. */
  forget(appId: string): void {
    this.#apps.delete(appId);
    this.#forgetState(appId);
    this.options.recorder.forget(appId);
  }

  /** Brings the gauges up to date and drops what has expired. To be called before metrics are shown, or every minute. */
  refresh(): void {
    const { breakers, gates, metrics } = this.options;
    metrics.breakersOpen.set(breakers.openApps());
    metrics.sharedBreakerState.set(sharedStateValues[breakers.sharedState]);
    const { coolDowns, backOffs } = gates.expire();
    metrics.coolDowns.set(coolDowns);
    metrics.atLimitBackOffs.set(backOffs);
  }

  #recordOf(app: AppPolicy): AppRecord {
    const known = this.#apps.get(app.appId);
    if (known?.app.version === app.version) return known;
    const record: AppRecord = { app, lastDecision: known?.lastDecision ?? null };
    this.#apps.set(app.appId, record);
    if (known) {
      this.options.breakers.policyChanged(app.appId);
      this.#forgetIgnored(app.appId, 'out');
      this.#forgetIgnored(app.appId, 'in');
    }
    this.#reportUnknownOperators(app);
    return record;
  }

  #gateOf(appId: string): Gate {
    const { breakers, gates } = this.options;
    return {
      coolDownUntilMs: gates.coolDownUntilMs(appId),
      holds: (direction) => {
        const untilMs = breakers.deniedUntilMs(appId);
        return [
          ...(untilMs === null ? [] : [{ reason: 'breaker-open', untilMs } as const]),
          ...gates.holds(appId, direction),
          ...(this.#poster.isPosting(appId) ? [{ reason: 'posted-recently' } as const] : []),
        ];
      },
    };
  }

  #forgetIgnoredIfNotBreached(app: AppPolicy, atNs: bigint): void {
    const { gates, history, settings } = this.options;
    const ignored = { ...app, rules: gates.ignoredRules(app.appId) };
    for (const rule of notBreached(ignored, history, atNs, settings)) {
      this.#forgetIgnored(app.appId, directionOf(rule));
    }
  }

  #forgetIgnored(appId: string, direction: Direction): void {
    const { claims, gates } = this.options;
    if (!gates.forgetIgnored(appId, direction)) return;
    // The shared record would go on holding this direction back. Losing the update costs a short delay, so nobody waits.
    void claims.complete(appId, direction, {
      coolDownUntilMs: gates.coolDownUntilMs(appId),
      ignoredUntilMs: null,
    });
  }

  #forgetState(appId: string): void {
    this.options.gates.forget(appId);
    this.options.breakers.forget(appId);
  }

  #reportUnknownOperators(app: AppPolicy): void {
    for (const { operator, metricType } of app.rules) {
      if (isOperator(operator)) continue;
      const error = new Error(
        `operator ${JSON.stringify(operator.slice(0, 20))} is unknown, the rule is skipped: use one of ${operators.join(' ')}`,
      );
      const key = `unknown-operator ${this.#unknownOperators++ % namedPerMinute}`;
      this.#repeated.error('unknown-operator', error, { appId: app.appId, metricType }, key);
    }
  }
}

/** Whether a rule that fired still does. Newer decisions are `held`, because its own trigger is on its way. */
function stillFires(fired: Fired, record: AppRecord | undefined): boolean {
  const newest = record?.lastDecision;
  return newest === fired || (newest?.outcome === 'held' && newest.rule === fired.rule);
}

function factsOf(decision: Decision): Readonly<Record<string, unknown>> {
  switch (decision.outcome) {
    case 'fired':
      return { outcome: 'fired', metricType: decision.rule.metricType, adjustment: decision.rule.adjustment };
    case 'held':
      return { outcome: 'held', reason: decision.reason, untilMs: decision.untilMs };
    case 'not-fired':
      return { outcome: 'not-fired', reasons: decision.verdicts.map(({ reason }) => reason) };
  }
}
