import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { decide, notBreached, type Gate } from '../evaluation/decide.js';
import type { PolicyLimits } from '../policy/policy-limits.js';
import { directionOf, type AppPolicy, type ScalingRule } from '../policy/policy.js';
import { engineOutcome, responseTo, type EngineOutcome } from '../scaling-engine/engine-model.js';
import { Gates } from '../scaling-engine/gates.js';
import { nsToMs } from '../util/clock.js';
import type { Recording } from './recording.js';
import { Tape, type Change } from './tape.js';

/** A policy with what the scaling engine needs of it. */
export interface ReplayedPolicy {
  readonly policy: AppPolicy;
  readonly limits: PolicyLimits;
}

export interface ReplaySettings extends EvaluationSettings {
  readonly evaluationIntervalMs: number;
}

export interface ReplayOptions extends ReplayedPolicy {
  readonly recordings: readonly Recording[];
  /** Cycles before only fill the histories. */
  readonly fromNs: bigint;
  /** When the last cycle's state ends. */
  readonly untilNs: bigint;
  /** When the replay begins. */
  readonly instances: number;
  readonly settings: ReplaySettings;
  /** How values depend on the number of instances that the replay has by then; null: they stay as recorded. */
  readonly load: LoadModel | null;
}

/** Gives the value that an app metric would have had, for the number of instances in the replay. */
export type LoadModel = (instances: () => number) => Change;

export interface Scaling {
  readonly atMs: number;
  /** Of the rule, counted from 1. */
  readonly number: number;
  readonly rule: ScalingRule;
  readonly unit: string;
  /** The newest app metric of the rule. */
  readonly value: bigint | null;
  readonly from: number;
  readonly to: number;
}

export interface Replayed {
  readonly cycles: number;
  readonly scalings: readonly Scaling[];
  /** While a rule fires that the maximum, or the minimum, makes useless. */
  readonly atMaxMs: number;
  readonly atMinMs: number;
  /** The number of instances times its duration. */
  readonly instanceMs: number;
  /** Posted, whatever became of them. */
  readonly triggers: number;
  /** Triggers that the scaling engine would have rejected, for their adjustment. */
  readonly rejected: number;
}

/** A cycle stands for so many collection intervals at most: of a longer time nothing is known. */
const longestCycle = 2;

/**
 * What the rules of a policy would have done with recorded app metrics: each cycle is decided as in production, with
 * gates that production uses, and a model of the scaling engine.
 *
 * A decision counts as made at the timestamp of its app metrics. In production it is made when they are there, some tens
 * of milliseconds later, and so a cool-down ends that much later.
 */
export function replay(options: ReplayOptions): Replayed {
  return new Replay(options).run();
}

class Replay {
  readonly #tape: Tape;
  readonly #gates: Gates;
  #nowMs = 0;
  #instances: number;
  /** What the scaling engine would say; gates believe it within limits. Wall-clock ms. */
  #coolDownUntilMs: number | null = null;
  readonly #scalings: Scaling[] = [];
  #cycles = 0;
  #triggers = 0;
  #rejected = 0;
  #atMaxMs = 0;
  #atMinMs = 0;
  #instanceMs = 0;
  /** The limit that stands against the rule that fires. */
  #limit: 'min' | 'max' | null = null;

  constructor(private readonly options: ReplayOptions) {
    const { recordings, load, settings, instances } = options;
    this.#instances = instances;
    this.#tape = new Tape(
      recordings,
      load?.(() => this.#instances),
    );
    const now = () => this.#nowMs;
    const { evaluationIntervalMs } = settings;
    this.#gates = new Gates({ clock: { now, monotonic: now }, evaluationIntervalMs });
  }

  run(): Replayed {
    const { fromNs, untilNs } = this.options;
    this.#nowMs = nsToMs(fromNs);
    for (let atNs = this.#tape.next(); atNs !== null && atNs <= untilNs; atNs = this.#tape.next()) {
      if (atNs < fromNs) continue;
      this.#passTo(nsToMs(atNs));
      this.#cycle(atNs);
    }
    this.#passTo(nsToMs(untilNs));
    return {
      cycles: this.#cycles,
      scalings: this.#scalings,
      atMaxMs: this.#atMaxMs,
      atMinMs: this.#atMinMs,
      instanceMs: this.#instanceMs,
      triggers: this.#triggers,
      rejected: this.#rejected,
    };
  }

  #passTo(nowMs: number): void {
    const passedMs = nowMs - this.#nowMs;
    const knownMs = Math.min(passedMs, longestCycle * this.options.settings.collectionIntervalMs);
    if (this.#limit === 'max') this.#atMaxMs += knownMs;
    if (this.#limit === 'min') this.#atMinMs += knownMs;
    this.#instanceMs += passedMs * this.#instances;
    this.#nowMs = nowMs;
  }

  #cycle(atNs: bigint): void {
    const { policy, settings } = this.options;
    const gates = this.#gates;
    this.#cycles++;
    const ignored = gates.ignoredRules(policy.appId);
    if (ignored.length > 0) {
      for (const rule of notBreached({ ...policy, rules: ignored }, this.#tape, atNs, settings)) {
        gates.forgetIgnored(policy.appId, directionOf(rule));
      }
    }
    const decision = decide(policy, this.#tape, atNs, this.#gate(), settings);
    this.#limit = null;
    if (decision.outcome === 'fired') this.#post(decision.rule);
    else if (decision.outcome === 'held') this.#limit = this.#limitOf(decision.rule ?? this.#firing(atNs));
  }

  #gate(): Gate {
    const { appId } = this.options.policy;
    return {
      coolDownUntilMs: this.#gates.coolDownUntilMs(appId),
      holds: (direction) => this.#gates.holds(appId, direction),
    };
  }

  #post(rule: ScalingRule): void {
    const { policy } = this.options;
    this.#gates.posted(policy.appId);
    this.#triggers++;
    const outcome = this.#engineOutcome(rule, this.#coolDownUntilMs);
    this.#gates.keep(policy.appId, rule, responseTo(outcome));
    if (outcome.kind === 'bad-adjustment') this.#rejected++;
    if (outcome.kind === 'ignored') this.#limit = outcome.limit;
    if (outcome.kind !== 'scaled') return;
    const { from, to, coolDownUntilMs } = outcome;
    const series = this.#tape.series(policy.appId, rule.metricType);
    this.#scalings.push({
      atMs: this.#nowMs,
      number: policy.rules.indexOf(rule) + 1,
      rule,
      unit: series?.unit ?? '',
      value: series?.valueAt(0) ?? null,
      from,
      to,
    });
    this.#instances = to;
    this.#coolDownUntilMs = coolDownUntilMs;
  }

  /** The rule that would fire without a cool-down. Only asked for where a limit could make it useless. */
  #firing(atNs: bigint): ScalingRule | undefined {
    const { policy, settings, limits } = this.options;
    if (this.#instances !== limits.minInstances && this.#instances !== limits.maxInstances) return undefined;
    const decision = decide(policy, this.#tape, atNs, openGate, settings);
    return decision.outcome === 'fired' ? decision.rule : undefined;
  }

  #limitOf(rule: ScalingRule | undefined): 'min' | 'max' | null {
    const outcome = rule && this.#engineOutcome(rule, null);
    return outcome?.kind === 'ignored' ? outcome.limit : null;
  }

  #engineOutcome(rule: ScalingRule, coolDownUntilMs: number | null): EngineOutcome {
    const { limits } = this.options;
    return engineOutcome({ limits, instances: this.#instances, coolDownUntilMs }, rule, this.#nowMs);
  }
}

const openGate: Gate = { coolDownUntilMs: null, holds: () => [] };
