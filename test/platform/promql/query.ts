import { instantTimes, rangeTimes, type EvaluationTimes, type RangeTexts } from './evaluation-times.js';
import { selectorsOf, typeOf, type Expression, type Selector } from './expression.js';
import { parsePromql } from './parse.js';
import { PromqlEngineError } from './series.js';

/** What log-cache is asked: an expression, and when it is to be evaluated. */
export interface PromqlQuery {
  readonly kind: 'instant' | 'range';
  readonly expression: Expression;
  readonly times: EvaluationTimes;
}

/** How far an instant selector looks back. There are no staleness markers. */
const lookbackMs = 300_000;

/** Throws PromqlParseError or PromqlEngineError. */
export function instantQueryOf(query: string, timeText: string | null, nowMs: number): PromqlQuery {
  const times = instantTimes(timeText, nowMs);
  return { kind: 'instant', expression: parsePromql(query), times };
}

/** Likewise. */
export function rangeQueryOf(query: string, texts: RangeTexts): PromqlQuery {
  const times = rangeTimes(texts);
  const expression = parsePromql(query);
  const type = typeOf(expression);
  if (type === 'range vector') {
    throw new PromqlEngineError(
      `invalid expression type "${type}" for range query, must be Scalar or instant Vector`,
    );
  }
  return { kind: 'range', expression, times };
}

/** How far before its own time a selector looks, in ms. */
export function lengthMsOf({ range }: Selector): number {
  return range ? range.secs * 1000 : lookbackMs;
}

export function offsetMsOf({ offset }: Selector): number {
  return offset ? offset.secs * 1000 : 0;
}

/**
 * What log-cache reads of every source, whatever the single selector needs of it: from a second before the earliest that
 * any of them looks at. [from, to) in µs since the epoch.
 */
export function windowOf({ expression, times }: PromqlQuery): [fromUs: number, toUs: number] {
  const backMs = selectorsOf(expression).map((selector) => lengthMsOf(selector) + offsetMsOf(selector));
  return [(times.startMs - Math.max(0, ...backMs) - 1000) * 1000, times.endMs * 1000];
}
