import { backOff } from '../util/back-off.js';
import type { Clock } from '../util/clock.js';
import type { Hold } from '../evaluation/decide.js';
import type { ClaimPauses } from '../ownership/claims.js';
import { directionOf, type Direction, type ScalingRule } from '../policy/policy.js';
import type { TriggerResult } from './trigger-result.js';

/**
 * The longest cool-down that is believed: the policy schema allows 3600 s, and clocks may differ by a minute. If the
 * scaling engine means a longer one it says so again when the next trigger is posted.
 */
const maxCoolDownMs = 3_660_000;

/**
 * The longest back-off after "ignored". Out is short, because an app at its maximum whose limit a schedule raises needs
 * instances now. In is long, because thousands of idle apps at their minimum would fill the engine's history.
 */
const maxBackOffMs: Readonly<Record<Direction, number>> = { out: 120_000, in: 600_000 };

/** A back-off that ended this long ago no longer makes the next one longer. */
const backOffMemoryMs = 600_000;

const directions = ['out', 'in'] as const;

/** Times are monotonic ms. */
interface BackOff {
  readonly rule: ScalingRule;
  readonly endMs: number;
  readonly timesIgnored: number;
}

interface AppState {
  coolDownEndMs: number;
  nextPostMs: number;
  readonly backOffs: Map<Direction, BackOff>;
}

/**
 * Per app: until when it cools down, when the next trigger may be posted, and which direction the scaling engine ignored
 * lately. Times are kept as monotonic ones, so that a clock that is set neither ends a cool-down nor makes it last. They
 * come and go as wall-clock times, because other members and operators read them.
 */
export class Gates {
  readonly #apps = new Map<string, AppState>();

  constructor(
    private readonly options: { clock: Pick<Clock, 'now' | 'monotonic'>; evaluationIntervalMs: number },
  ) {}

  /** Wall-clock ms while a cool-down runs, else null. */
  coolDownUntilMs(appId: string): number | null {
    return this.#wallTimeIfAhead(this.#apps.get(appId)?.coolDownEndMs);
  }

  /** Wall-clock ms until which no further trigger may be posted, else null. */
  nextPostMs(appId: string): number | null {
    return this.#wallTimeIfAhead(this.#apps.get(appId)?.nextPostMs);
  }

  /** Wall-clock ms until which this direction is held back after "ignored", else null. */
  backOffUntilMs(appId: string, direction: Direction): number | null {
    return this.#wallTimeIfAhead(this.#apps.get(appId)?.backOffs.get(direction)?.endMs);
  }

  /** What holds a trigger of this direction back, besides a cool-down; the most important first. */
  holds(appId: string, direction: Direction): Hold[] {
    const backOffUntilMs = this.backOffUntilMs(appId, direction);
    const nextPostMs = this.nextPostMs(appId);
    return [
      ...(backOffUntilMs === null ? [] : [{ reason: 'at-limit-backoff', untilMs: backOffUntilMs } as const]),
      ...(nextPostMs === null ? [] : [{ reason: 'posted-recently', untilMs: nextPostMs } as const]),
    ];
  }

  /** The rules that the scaling engine ignored last, at most one per direction. */
  ignoredRules(appId: string): readonly ScalingRule[] {
    const backOffs = this.#apps.get(appId)?.backOffs;
    return backOffs ? [...backOffs.values()].map(({ rule }) => rule) : [];
  }

  /** A trigger is being posted now: the next one may follow an evaluation interval later, whatever the response. */
  posted(appId: string): void {
    this.#state(appId).nextPostMs = this.options.clock.monotonic() + this.options.evaluationIntervalMs;
  }

  /** Another member posted; untilMs (wall clock) says when the next post is allowed. */
  postedElsewhere(appId: string, untilMs: number): void {
    const state = this.#state(appId);
    state.nextPostMs = Math.max(state.nextPostMs, this.#endOf(untilMs, this.options.evaluationIntervalMs));
  }

  /**
   * The scaling engine named the end of a cool-down (wall-clock ms). `coolDownSecs` is the length asked for when this
   * response started the cool-down, 0 where it is unknown: it bounds the error of clocks that differ.
   */
  coolDown(appId: string, untilMs: number, coolDownSecs = 0): void {
    const longestMs = coolDownSecs > 0 ? Math.min(coolDownSecs * 1000, maxCoolDownMs) : maxCoolDownMs;
    this.#state(appId).coolDownEndMs = this.#endOf(untilMs, longestMs);
  }

  /** Keeps the cool-down or back-off that the response to this rule's trigger means; returns them for other members. */
  keep(appId: string, rule: ScalingRule, result: TriggerResult): ClaimPauses {
    switch (result.kind) {
      case 'scaled':
        // With another number of instances the app is not at the limit it was ignored for.
        this.forgetIgnored(appId, 'out');
        this.forgetIgnored(appId, 'in');
        if (result.coolDownUntilMs !== null) this.coolDown(appId, result.coolDownUntilMs, rule.coolDownSecs);
        return { coolDownUntilMs: result.coolDownUntilMs, ignoredUntilMs: null };
      case 'cooling-down':
        this.coolDown(appId, result.coolDownUntilMs);
        return { coolDownUntilMs: result.coolDownUntilMs, ignoredUntilMs: null };
      case 'ignored':
        return { coolDownUntilMs: null, ignoredUntilMs: this.ignored(appId, rule) };
      case 'failed':
        return { coolDownUntilMs: null, ignoredUntilMs: null };
    }
  }

  /** The scaling engine ignored this rule's trigger. Returns when its direction may be tried again, wall-clock ms. */
  ignored(appId: string, rule: ScalingRule): number {
    const direction = directionOf(rule);
    const { backOffs } = this.#state(appId);
    const timesIgnored = (backOffs.get(direction)?.timesIgnored ?? 0) + 1;
    const lengthMs = backOff(this.options.evaluationIntervalMs, maxBackOffMs[direction], timesIgnored);
    backOffs.set(direction, { rule, endMs: this.options.clock.monotonic() + lengthMs, timesIgnored });
    return this.options.clock.now() + lengthMs;
  }

  /** Another member was ignored with this rule's direction; untilMs is wall-clock ms. */
  ignoredElsewhere(appId: string, rule: ScalingRule, untilMs: number): void {
    const direction = directionOf(rule);
    const { backOffs } = this.#state(appId);
    const timesIgnored = backOffs.get(direction)?.timesIgnored ?? 1;
    backOffs.set(direction, { rule, endMs: this.#endOf(untilMs, maxBackOffMs[direction]), timesIgnored });
  }

  /** Forgets that a direction was ignored. True if that still held it back. */
  forgetIgnored(appId: string, direction: Direction): boolean {
    const held = this.backOffUntilMs(appId, direction) !== null;
    this.#apps.get(appId)?.backOffs.delete(direction);
    return held;
  }

  forget(appId: string): void {
    this.#apps.delete(appId);
  }

  /** Drops what no longer holds anything back, and counts what does. */
  expire(): { readonly coolDowns: number; readonly backOffs: number } {
    const nowMs = this.options.clock.monotonic();
    let coolDowns = 0;
    let running = 0;
    for (const [appId, state] of this.#apps) {
      for (const direction of directions) {
        const endMs = state.backOffs.get(direction)?.endMs ?? -Infinity;
        if (endMs > nowMs) running++;
        else if (endMs + backOffMemoryMs <= nowMs) state.backOffs.delete(direction);
      }
      if (state.coolDownEndMs > nowMs) coolDowns++;
      else if (state.nextPostMs <= nowMs && state.backOffs.size === 0) this.#apps.delete(appId);
    }
    return { coolDowns, backOffs: running };
  }

  /** Apps with any state, for tests. */
  get size(): number {
    return this.#apps.size;
  }

  #state(appId: string): AppState {
    let state = this.#apps.get(appId);
    if (!state) {
      state = { coolDownEndMs: -Infinity, nextPostMs: -Infinity, backOffs: new Map() };
      this.#apps.set(appId, state);
    }
    return state;
  }

  /** Monotonic ms of a wall-clock time, at most longestMs ahead. */
  #endOf(untilMs: number, longestMs: number): number {
    return this.options.clock.monotonic() + Math.min(untilMs - this.options.clock.now(), longestMs);
  }

  #wallTimeIfAhead(endMs = -Infinity): number | null {
    const aheadMs = endMs - this.options.clock.monotonic();
    return aheadMs > 0 ? this.options.clock.now() + aheadMs : null;
  }
}
