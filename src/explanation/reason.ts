import { heldReasons, reasonsByWeight } from '../evaluation/decision.js';
import type { Direction } from '../policy/policy.js';

/**
 * Why an app was scaled or not, in one word each: a closed list, the same in the API, the command line and the documents.
 * Those of an evaluation are the labels of `evaluations_total`.
 * - `no-policy`, `policy-broken`, `no-rules`: there is nothing to evaluate
 * - `not-owned`: no living member collects and evaluates the app
 * - `not-collected`: log-cache failed for a metric type, again and again
 * - `stale`: the newest app metric of a metric type is old, and it is not known why
 * - `at-max`, `at-min`: the scaling engine ignored the trigger; the app is at its limit, not started, or disabled
 * - `trigger-failed`: the scaling engine did not take the trigger
 * - `unknown`: something is not known here
 */
export const reasonCodes = [
  'fired',
  ...heldReasons,
  ...reasonsByWeight,
  'no-rules',
  'no-policy',
  'policy-broken',
  'not-owned',
  'not-collected',
  'stale',
  'at-max',
  'at-min',
  'trigger-failed',
  'unknown',
] as const;

export type ReasonCode = (typeof reasonCodes)[number];

export function isReasonCode(text: string): text is ReasonCode {
  return (reasonCodes as readonly string[]).includes(text);
}

/** One reason with what belongs to it. Times are wall-clock ms. */
export interface Reason {
  readonly code: ReasonCode;
  /** Counted from 1. */
  readonly rule?: number;
  readonly metricType?: string;
  readonly direction?: Direction;
  readonly sinceMs?: number;
  readonly untilMs?: number;
  /** The policy's minimum or maximum of instances. */
  readonly limit?: number;
  /** What failed or is missing, in words. */
  readonly detail?: string;
}

/** The code of a direction that the scaling engine ignores. */
export function limitCode(direction: Direction): 'at-max' | 'at-min' {
  return direction === 'out' ? 'at-max' : 'at-min';
}
