import type { TriggerRecord } from '../platform/books.js';
import type { Actor } from './cast.js';
import type { Evaluation } from './log-lines.js';

/*
 * What the demo knows of its apps at one moment. Values come from the eventgenerator's API, evaluations from its log,
 * instances and triggers from the platform; nothing is computed on their behalf.
 */

/** An app metric as the eventgenerator's API shows it. */
export interface Point {
  /** Wall-clock ms. */
  readonly atMs: number;
  /** null: no data. */
  readonly value: number | null;
  readonly unit: string;
}

export interface AppState {
  readonly actor: Actor;
  readonly instances: number;
  /** The newest ones, oldest first. */
  readonly points: readonly Point[];
  /** The newest one; absent before the first. */
  readonly evaluation?: Evaluation;
  /** The newest one; absent before the first. */
  readonly trigger?: TriggerRecord;
}

/** A trigger that changed an app's number of instances. */
export interface Scaling {
  readonly actor: Actor;
  readonly atMs: number;
  readonly from: number;
  readonly to: number;
  readonly operator: string;
  readonly threshold: string;
  readonly unit: string;
  readonly breachDurationSecs: string;
  /** Absent where the values that would tell are not known. */
  readonly reaction?: Reaction;
}

/** How long after the breach began, or after the app's last cool-down if that ended later than the rule could fire. */
export interface Reaction {
  readonly ms: number;
  readonly since: 'breach' | 'cool-down';
}

export interface DemoState {
  /** Wall-clock ms. */
  readonly nowMs: number;
  readonly startedMs: number;
  /** Absent: it goes on until it is interrupted. */
  readonly timeoutSecs?: number;
  /** What is going on. */
  readonly activity: string;
  /** What keeps values from being shown; absent when all is well. */
  readonly trouble?: string;
  readonly breachDurationSecs: number;
  /** Empty before the platform runs. */
  readonly apps: readonly AppState[];
  /** Oldest first. */
  readonly scalings: readonly Scaling[];
  /** Of all apps; more than `scalings` remembers, if it goes on for long. */
  readonly scaledOut: number;
  readonly scaledIn: number;
}

export type Side = 'above' | 'below' | 'within' | 'no-data';

/** On which side of its limits an app's value is. */
export function sideOf({ upper, lower }: Pick<Actor, 'upper' | 'lower'>, value: number | null): Side {
  if (value === null) return 'no-data';
  if (value > upper) return 'above';
  return value < lower ? 'below' : 'within';
}

export interface Breach {
  readonly side: 'above' | 'below';
  /**
   * Time of the last value that did not breach, after which the breach began; of the first known value where all
   * breach.
   */
  readonly beganMs: number;
}

/** The breach that the newest of these points belongs to, if it does. */
export function breachOf(
  actor: Pick<Actor, 'upper' | 'lower'>,
  points: readonly Point[],
): Breach | undefined {
  const newest = points.at(-1);
  const side = newest && sideOf(actor, newest.value);
  if (side !== 'above' && side !== 'below') return undefined;
  const before = points.findLast((point) => sideOf(actor, point.value) !== side);
  const began = before ?? points[0];
  return began && { side, beganMs: began.atMs };
}
