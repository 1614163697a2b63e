import type { OpenBreaker } from '../evaluation/open-breaker.js';
import type { CollectionFailure, LastTrigger } from '../explanation/facts.js';
import { directionOf } from '../policy/policy.js';

/*
 * The JSON in rows. Lists take the place of objects with names, because tens of thousands of rows are rewritten again
 * and again. Times are wall-clock ms.
 */

/**
 * When, the rule counted from 1 (null: of another version of the policy), the adjustment, the result, what the scaling
 * engine said. If the app's breaker is not closed, there is one more: since when, and until when it is open.
 */
export type TriggerJson = readonly [
  atMs: number,
  rule: number | null,
  adjustment: string,
  result: string,
  message: string | null,
  breaker?: readonly [sinceMs: number, untilMs: number],
];

/** One for all metric types that fail alike: since when, how, what log-cache said, the metric types. */
export type FailureJson = readonly [
  sinceMs: number,
  failure: string,
  message: string,
  ...metricTypes: readonly string[],
];

export function triggerToJson(
  { atMs, rule, adjustment, result, message }: LastTrigger,
  breakers: readonly OpenBreaker[],
): string {
  const own = breakers.find(({ scope }) => scope === 'app');
  const breaker = own ? ([[own.sinceMs, own.untilMs]] as const) : ([] as const);
  return JSON.stringify([atMs, rule, adjustment, result, message, ...breaker] satisfies TriggerJson);
}

export function triggerOfJson([atMs, rule, adjustment, result, message]: TriggerJson): LastTrigger {
  return { atMs, rule, adjustment, direction: directionOf({ adjustment }), result, message };
}

export function breakersOfJson([, , , , , breaker]: TriggerJson): OpenBreaker[] {
  return breaker ? [{ scope: 'app', sinceMs: breaker[0], untilMs: breaker[1] }] : [];
}

export function failuresToJson(failures: readonly CollectionFailure[]): string {
  const groups = new Map<string, [...FailureJson]>();
  for (const { metricType, failure, message, sinceMs } of failures) {
    const key = JSON.stringify([sinceMs, failure, message]);
    const group = groups.get(key);
    if (group) group.push(metricType);
    else groups.set(key, [sinceMs, failure, message, metricType]);
  }
  return JSON.stringify([...groups.values()]);
}

export function failuresOfJson(groups: readonly FailureJson[]): CollectionFailure[] {
  return groups.flatMap(([sinceMs, failure, message, ...metricTypes]) =>
    metricTypes.map((metricType) => ({ metricType, failure, message, sinceMs })),
  );
}
