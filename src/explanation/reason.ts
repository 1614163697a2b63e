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

/** Reasons that are found only when one app is asked about, or that other reasons stand for: why no list has them, and what to ask. */
const unlisted = {
  'at-limit-backoff': 'apps that the scaling engine ignores are listed as at-max and at-min',
  'no-policy': 'who has no policy is known to the Cloud Controller alone; ask for the decision of one app',
  'not-owned': 'apps have no owner only while no member lives: ask for the members',
  stale:
    'it is found when the decision of one app is asked for; apps for which log-cache fails are listed as not-collected',
  unknown: 'ask for the decision of one app: it says what is not known, and why',
} as const satisfies Partial<Record<ReasonCode, string>>;

/** A reason by which apps can be listed. */
export type ListedReason = Exclude<ReasonCode, keyof typeof unlisted>;

const isUnlisted = (code: string): code is keyof typeof unlisted => Object.hasOwn(unlisted, code);

export const listedReasons = reasonCodes.filter((code): code is ListedReason => !isUnlisted(code));

export function isListedReason(code: unknown): code is ListedReason {
  return (listedReasons as readonly unknown[]).includes(code);
}

/** Why apps cannot be listed by what was asked for, and what to ask instead. */
export function whyNotListed(asked: unknown): string {
  if (typeof asked === 'string' && isUnlisted(asked))
    return `no list has apps by '${asked}': ${unlisted[asked]}`;
  return `it must be one of ${listedReasons.join(' ')}`;
}

/** One reason with what belongs to it. Times are wall-clock ms. */
export interface Reason {
  readonly code: ReasonCode;
  /** Counted from 1. */
  readonly rule?: number | undefined;
  readonly metricType?: string;
  readonly direction?: Direction;
  readonly sinceMs?: number | undefined;
  readonly untilMs?: number | undefined;
  /** The policy's minimum or maximum of instances. */
  readonly limit?: number | undefined;
  /** What failed or is missing, in words. */
  readonly detail?: string;
}

/** The code of a direction that the scaling engine ignores. */
export function limitCode(direction: Direction): 'at-max' | 'at-min' {
  return direction === 'out' ? 'at-max' : 'at-min';
}
