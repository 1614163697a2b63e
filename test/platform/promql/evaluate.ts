import type { Tags } from '../envelope.js';
import { aggregate, summaryOf, type Sample, type Summary } from './aggregate.js';
import { calculate, type Operand } from './arithmetic.js';
import { stepsOf } from './evaluation-times.js';
import type { Expression, RangeFunction, Selector } from './expression.js';
import { valueOf } from './functions.js';
import type { PromqlQuery } from './query.js';
import { Selections } from './selections.js';
import { keyOf, requestLabel, type Point, type Series, type SeriesReader } from './series.js';

export type PromqlResult = Operand | { readonly type: 'matrix'; readonly series: readonly Series[] };

/** Throws PromqlEngineError. */
export function evaluatePromql(query: PromqlQuery, reader: SeriesReader): PromqlResult {
  const selections = new Selections(reader, query);
  const { expression, times } = query;
  if (query.kind === 'range') return evaluateRange(query, selections);
  if (expression.type === 'selector' && expression.range) {
    return { type: 'matrix', series: selections.series(expression, times.startMs) };
  }
  return new Evaluation(selections, times.startMs).evaluate(expression);
}

/** One instant after the other; what has the same labels becomes a series. */
function evaluateRange({ expression, times }: PromqlQuery, selections: Selections): PromqlResult {
  const found = new Map<string, { labels: Tags; points: Point[] }>();
  for (const timeMs of stepsOf(times)) {
    const result = new Evaluation(selections, timeMs).evaluate(expression);
    const samples = result.type === 'scalar' ? [{ labels: {}, value: result.value }] : result.samples;
    for (const { labels, value } of samples) {
      const key = keyOf(labels);
      const series = found.get(key) ?? { labels, points: [] };
      series.points.push({ timeUs: timeMs * 1000, value });
      found.set(key, series);
    }
  }
  return { type: 'matrix', series: [...found.values()].sort(byLabels) };
}

/** At one time in ms since the epoch. */
class Evaluation {
  constructor(
    private readonly selections: Selections,
    private readonly timeMs: number,
  ) {}

  evaluate(expression: Expression): Operand {
    switch (expression.type) {
      case 'number':
        return { type: 'scalar', value: expression.value };
      case 'selector':
        return this.#vector(this.#summaries(expression, null, true));
      case 'call':
        return this.#vector(this.#summaries(expression.range, expression.name, true));
      case 'aggregation':
        return { type: 'vector', samples: this.#aggregate(expression) };
      case 'binary':
        return calculate(
          expression.operator,
          this.evaluate(expression.left),
          this.evaluate(expression.right),
        );
    }
  }

  #aggregate(aggregation: Extract<Expression, { type: 'aggregation' }>): Sample[] {
    const { operation, parameter, grouping, operand } = aggregation;
    const given = parameter ? this.evaluate(parameter) : undefined;
    const value = given?.type === 'scalar' ? given.value : NaN;
    // Requests need not be told apart where their request_id is dropped anyway, and sums are all that is asked for.
    const apart = parameter !== null || grouping.kind === 'without' || grouping.labels.includes(requestLabel);
    return aggregate(operation, value, grouping, this.#operands(operand, apart));
  }

  #operands(operand: Expression, apart: boolean): readonly Summary[] {
    if (operand.type === 'call') return this.#summaries(operand.range, operand.name, apart);
    if (operand.type === 'selector') return this.#summaries(operand, null, apart);
    const result = this.evaluate(operand);
    return result.type === 'scalar'
      ? []
      : result.samples.map(({ labels, value }) => summaryOf(labels, value));
  }

  /** `name`: the function over the selector's range; null for an instant selector. */
  #summaries(selector: Selector, name: RangeFunction | null, apart: boolean): Summary[] {
    const computed = !apart && !selector.matchers.some(({ label }) => label === requestLabel);
    const window = this.selections.window(selector, this.timeMs);
    const single = this.selections.series(selector, this.timeMs, !computed).flatMap(({ labels, points }) => {
      const value = name ? valueOf(name, points, window) : points.at(-1)?.value;
      return value === undefined ? [] : [summaryOf(labels, value)];
    });
    // A request's series has one point, of which there is no rate.
    if (!computed || name === 'rate') return single;
    // It counts as 1, and every other function returns the point itself.
    const requests = this.selections
      .requests(selector, this.timeMs)
      .map((all) => (name === 'count_over_time' ? { ...all, sum: all.count, min: 1, max: 1 } : all));
    return [...single, ...requests];
  }

  #vector(summaries: readonly Summary[]): Operand {
    return { type: 'vector', samples: summaries.map(({ labels, sum }) => ({ labels, value: sum })) };
  }
}

/** Name by name and value by value; of two that begin alike the one with fewer labels comes first. */
function byLabels(a: Series, b: Series): number {
  const [left, right] = [a, b].map(({ labels }) => Object.entries(labels).sort().flat());
  if (!left || !right) return 0;
  const at = left.findIndex((text, i) => text !== right[i]);
  if (at < 0) return left.length - right.length;
  return (left[at] ?? '') < (right[at] ?? '') ? -1 : 1;
}
