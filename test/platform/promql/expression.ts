/* The part of PromQL that autoscalers and their operators use, as a tree. */

export type Expression =
  | { readonly type: 'number'; readonly value: number }
  | Selector
  | { readonly type: 'call'; readonly name: RangeFunction; readonly range: Selector }
  | {
      readonly type: 'aggregation';
      readonly operation: Aggregation;
      /** How many samples `topk` keeps, or which quantile; null: the aggregation needs none. */
      readonly parameter: Expression | null;
      readonly grouping: Grouping;
      readonly operand: Expression;
    }
  | {
      readonly type: 'binary';
      readonly operator: ArithmeticOperator;
      readonly left: Expression;
      readonly right: Expression;
    };

export interface Selector {
  readonly type: 'selector';
  readonly name: string;
  readonly matchers: readonly Matcher[];
  /** null: an instant selector. */
  readonly range: Duration | null;
  /** How far before the evaluation time it looks; null: it looks at that time. */
  readonly offset: Duration | null;
}

export interface Matcher {
  readonly label: string;
  readonly operator: '=' | '!=' | '=~' | '!~';
  readonly value: string;
}

export interface Duration {
  readonly secs: number;
  /** Where it stands in the query, counted from 1. */
  readonly position: number;
}

export interface Grouping {
  readonly kind: 'by' | 'without';
  readonly labels: readonly string[];
}

export const rangeFunctions = [
  'avg_over_time',
  'count_over_time',
  'max_over_time',
  'min_over_time',
  'rate',
  'sum_over_time',
] as const;
export type RangeFunction = (typeof rangeFunctions)[number];

export const aggregations = ['avg', 'count', 'max', 'min', 'quantile', 'sum', 'topk'] as const;
export type Aggregation = (typeof aggregations)[number];

export type ArithmeticOperator = '+' | '-' | '*' | '/' | '%';

/** A query that Prometheus' parser would refuse, or that this platform does not know. */
export class PromqlParseError extends Error {
  override readonly name = 'PromqlParseError';

  constructor(position: number, reason: string) {
    super(`parse error at char ${position}: ${reason}`);
  }
}

export function typeOf(expression: Expression): 'scalar' | 'instant vector' | 'range vector' {
  switch (expression.type) {
    case 'number':
      return 'scalar';
    case 'selector':
      return expression.range ? 'range vector' : 'instant vector';
    case 'call':
    case 'aggregation':
      return 'instant vector';
    case 'binary': {
      const scalars = typeOf(expression.left) === 'scalar' && typeOf(expression.right) === 'scalar';
      return scalars ? 'scalar' : 'instant vector';
    }
  }
}

/** Every selector of a tree, in order. */
export function selectorsOf(expression: Expression): Selector[] {
  switch (expression.type) {
    case 'number':
      return [];
    case 'selector':
      return [expression];
    case 'call':
      return [expression.range];
    case 'aggregation': {
      const { parameter, operand } = expression;
      return [...(parameter ? selectorsOf(parameter) : []), ...selectorsOf(operand)];
    }
    case 'binary':
      return [...selectorsOf(expression.left), ...selectorsOf(expression.right)];
  }
}

/** log-cache takes `=~` for a list of literal ids, and ignores other operators here. */
export function sourceIdsOf(selector: Selector): string[] {
  return selector.matchers
    .filter(({ label, operator }) => label === 'source_id' && (operator === '=' || operator === '=~'))
    .flatMap(({ operator, value }) => (operator === '=~' ? value.split('|') : [value]));
}
