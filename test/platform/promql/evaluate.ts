import type { Tags } from '../envelope.js';
import type {
  Aggregation,
  ArithmeticOperator,
  Expression,
  Grouping,
  RangeFunction,
  Selector,
} from './expression.js';
import { PromqlEngineError, requestLabel, type Series, type SeriesReader } from './series.js';

export interface Sample {
  readonly labels: Tags;
  readonly value: number;
}

export type PromqlResult =
  | { readonly type: 'scalar'; readonly value: number }
  | { readonly type: 'vector'; readonly samples: readonly Sample[] }
  | { readonly type: 'matrix'; readonly series: readonly Series[] };

/** One series' value, or what many series that differ only in request_id come to. */
interface Summary {
  readonly labels: Tags;
  readonly count: number;
  readonly sum: number;
  readonly min: number;
  readonly max: number;
}

/** How far an instant selector looks back. There are no staleness markers. */
const lookbackMs = 300_000;

/** Evaluates at a time in ms since the epoch. Throws PromqlEngineError. */
export function evaluatePromql(expression: Expression, reader: SeriesReader, timeMs: number): PromqlResult {
  return new Evaluation(reader, timeMs).evaluate(expression);
}

class Evaluation {
  constructor(
    private readonly reader: SeriesReader,
    private readonly timeMs: number,
  ) {}

  evaluate(expression: Expression): PromqlResult {
    switch (expression.type) {
      case 'number':
        return { type: 'scalar', value: expression.value };
      case 'selector':
        if (expression.range) return { type: 'matrix', series: this.#flooredSeries(expression) };
        return this.#vector(this.#summaries(expression, 'last_over_time', true));
      case 'call':
        return this.#vector(this.#summaries(expression.range, expression.name, true));
      case 'aggregation': {
        const { operation, grouping, operand } = expression;
        return { type: 'vector', samples: aggregate(operation, grouping, this.#operands(operand, grouping)) };
      }
      case 'binary':
        return calculate(
          expression.operator,
          this.evaluate(expression.left),
          this.evaluate(expression.right),
        );
    }
  }

  /** What an aggregation sums up. Requests need not be told apart where their request_id is dropped anyway. */
  #operands(operand: Expression, grouping: Grouping): readonly Summary[] {
    const apart = grouping.kind === 'without' || grouping.labels.includes(requestLabel);
    if (operand.type === 'call') return this.#summaries(operand.range, operand.name, apart);
    if (operand.type === 'selector' && !operand.range)
      return this.#summaries(operand, 'last_over_time', apart);
    const result = this.evaluate(operand);
    if (result.type !== 'vector') {
      throw new PromqlEngineError(
        `expected type instant vector in aggregation expression, got ${result.type}`,
      );
    }
    return result.samples.map(({ labels, value }) => summaryOf(labels, value));
  }

  #summaries(selector: Selector, name: RangeFunction, apart: boolean): Summary[] {
    const computed = !apart && !selector.matchers.some(({ label }) => label === requestLabel);
    const [fromUs, toUs] = windowOf(selector, this.timeMs);
    const single = this.reader.series(selector, fromUs, toUs, !computed).map(({ labels, points }) =>
      summaryOf(
        labels,
        overTime(
          name,
          points.map((point) => point.value),
        ),
      ),
    );
    if (!computed) return single;
    // A request's series has one point: it counts as 1, and every other function returns the point itself.
    const requests = this.reader
      .requests(selector, fromUs, toUs)
      .map((all) => (name === 'count_over_time' ? { ...all, sum: all.count, min: 1, max: 1 } : all));
    return [...single, ...requests];
  }

  #flooredSeries(selector: Selector): Series[] {
    return this.reader.series(selector, ...windowOf(selector, this.timeMs)).map(({ labels, points }) => ({
      labels,
      points: points.map(({ timeUs, value }) => ({ timeUs: Math.floor(timeUs / 1e6) * 1e6, value })),
    }));
  }

  #vector(summaries: readonly Summary[]): PromqlResult {
    return { type: 'vector', samples: summaries.map(({ labels, sum }) => ({ labels, value: sum })) };
  }
}

/**
 * Points are stamped with their whole second, the range is [T − range, T] on these stamps, and nothing at or after
 * T has been read: for a whole T that is the real window, for a fraction up to a second at the old end is lost.
 */
export function windowOf(selector: Selector, timeMs: number): [fromUs: number, toUs: number] {
  const startMs = timeMs - (selector.range ? selector.range.secs * 1000 : lookbackMs);
  return [Math.ceil(startMs / 1000) * 1e6, timeMs * 1000];
}

function summaryOf(labels: Tags, value: number): Summary {
  return { labels, count: 1, sum: value, min: value, max: value };
}

function overTime(name: RangeFunction, values: readonly number[]): number {
  switch (name) {
    case 'avg_over_time':
      return values.reduce((a, b) => a + b, 0) / values.length;
    case 'count_over_time':
      return values.length;
    case 'last_over_time':
      return values.at(-1) ?? NaN;
    case 'max_over_time':
      return values.reduce(greater, NaN);
    case 'min_over_time':
      return values.reduce(lesser, NaN);
    case 'sum_over_time':
      return values.reduce((a, b) => a + b, 0);
  }
}

/** Prometheus' comparison: NaN gives way to every number. */
function greater(a: number, b: number): number {
  return b > a || Number.isNaN(a) ? b : a;
}

function lesser(a: number, b: number): number {
  return b < a || Number.isNaN(a) ? b : a;
}

function aggregate(operation: Aggregation, grouping: Grouping, summaries: readonly Summary[]): Sample[] {
  const groups = new Map<string, Summary>();
  for (const summary of summaries) {
    const labels = groupLabels(summary.labels, grouping);
    const key = keyOf(labels);
    const group = groups.get(key);
    groups.set(key, {
      labels,
      count: (group?.count ?? 0) + summary.count,
      sum: (group?.sum ?? 0) + summary.sum,
      min: lesser(group?.min ?? NaN, summary.min),
      max: greater(group?.max ?? NaN, summary.max),
    });
  }
  return [...groups.values()].map((group) => ({
    labels: group.labels,
    value: operation === 'avg' ? group.sum / group.count : group[operation],
  }));
}

function groupLabels(labels: Tags, grouping: Grouping): Tags {
  const kept = Object.entries(labels).filter(
    ([label, value]) => grouping.labels.includes(label) === (grouping.kind === 'by') && value !== '',
  );
  return Object.fromEntries(kept);
}

function keyOf(labels: Tags): string {
  return JSON.stringify(Object.entries(labels).sort());
}

function calculate(operator: ArithmeticOperator, left: PromqlResult, right: PromqlResult): PromqlResult {
  if (left.type === 'matrix' || right.type === 'matrix') {
    throw new PromqlEngineError('binary expression must contain only scalar and instant vector types');
  }
  if (left.type === 'scalar' && right.type === 'scalar') {
    return { type: 'scalar', value: arithmetic(operator, left.value, right.value) };
  }
  if (left.type === 'scalar') {
    const samples = right.type === 'scalar' ? [] : right.samples;
    return {
      type: 'vector',
      samples: samples.map(({ labels, value }) => ({
        labels,
        value: arithmetic(operator, left.value, value),
      })),
    };
  }
  if (right.type === 'scalar') {
    return {
      type: 'vector',
      samples: left.samples.map(({ labels, value }) => ({
        labels,
        value: arithmetic(operator, value, right.value),
      })),
    };
  }
  const partners = new Map(right.samples.map((sample) => [keyOf(sample.labels), sample.value]));
  const samples = left.samples.flatMap(({ labels, value }) => {
    const partner = partners.get(keyOf(labels));
    return partner === undefined ? [] : [{ labels, value: arithmetic(operator, value, partner) }];
  });
  return { type: 'vector', samples };
}

function arithmetic(operator: ArithmeticOperator, a: number, b: number): number {
  switch (operator) {
    case '+':
      return a + b;
    case '-':
      return a - b;
    case '*':
      return a * b;
    case '/':
      return a / b;
    case '%':
      return a % b;
  }
}
