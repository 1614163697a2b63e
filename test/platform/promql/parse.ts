import { compileRe2 } from '../re2.js';
import { badDuration, durationSecs } from './duration.js';
import {
  aggregations,
  PromqlParseError,
  rangeFunctions,
  typeOf,
  type ArithmeticOperator,
  type Duration,
  type Expression,
  type Grouping,
  type Matcher,
  type Selector,
} from './expression.js';
import { tokenize, type Token, type TokenKind } from './tokens.js';

/** Parses a query. Throws PromqlParseError. */
export function parsePromql(query: string): Expression {
  if (query.trim() === '') throw new PromqlParseError(1, 'no expression found in input');
  const parser = new Parser(tokenize(query));
  const expression = parser.sum();
  parser.expect('end');
  return expression;
}

class Parser {
  #at = 0;

  constructor(private readonly tokens: readonly Token[]) {}

  sum(): Expression {
    return this.#leftAssociative(['+', '-'], () =>
      this.#leftAssociative(['*', '/', '%'], () => this.#unary()),
    );
  }

  expect(kind: TokenKind, text?: string): Token {
    const token = this.#next;
    if (token.kind !== kind || (text !== undefined && token.text !== text)) {
      throw new PromqlParseError(token.position, `unexpected ${describe(token)}, expected ${text ?? kind}`);
    }
    this.#at++;
    return token;
  }

  get #next(): Token {
    const token = this.tokens[Math.min(this.#at, this.tokens.length - 1)];
    if (!token) throw new PromqlParseError(1, 'no expression found in input');
    return token;
  }

  #take(text: string): boolean {
    const found = this.#next.kind === 'symbol' && this.#next.text === text;
    if (found) this.#at++;
    return found;
  }

  /** Keywords may be written in capitals. */
  #takeKeyword(keyword: string): boolean {
    const found = this.#next.kind === 'identifier' && this.#next.text.toLowerCase() === keyword;
    if (found) this.#at++;
    return found;
  }

  #leftAssociative(operators: readonly ArithmeticOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((candidate) => this.#take(candidate));
      if (!operator) return left;
      left = this.#binary(operator, left, operand());
    }
  }

  #binary(operator: ArithmeticOperator, left: Expression, right: Expression): Expression {
    if ([left, right].some((operand) => typeOf(operand) === 'range vector')) {
      throw this.#typeError('binary expression must contain only scalar and instant vector types');
    }
    return { type: 'binary', operator, left, right };
  }

  #unary(): Expression {
    if (this.#take('+')) return this.#unary();
    if (!this.#take('-')) return this.#primary();
    return this.#binary('*', { type: 'number', value: -1 }, this.#unary());
  }

  #primary(): Expression {
    const token = this.#next;
    if (this.#take('(')) {
      const inner = this.sum();
      this.expect('symbol', ')');
      return inner;
    }
    if (token.kind === 'number') {
      this.#at++;
      return { type: 'number', value: Number(token.text) };
    }
    if (token.kind === 'symbol' && token.text === '{') {
      throw new PromqlParseError(token.position, 'a selector needs a metric name on this platform');
    }
    this.expect('identifier');
    const aggregation = aggregations.find((name) => name === token.text.toLowerCase());
    if (aggregation) return this.#aggregation(aggregation);
    if (this.#next.text !== '(' || this.#next.kind !== 'symbol') return this.#selector(token.text);
    const call = rangeFunctions.find((name) => name === token.text);
    if (call) return this.#call(call);
    throw new PromqlParseError(token.position, `unknown function with name "${token.text}"`);
  }

  #aggregation(operation: (typeof aggregations)[number]): Expression {
    const before = this.#grouping();
    this.expect('symbol', '(');
    const parameter = operation === 'topk' || operation === 'quantile' ? this.#parameter() : null;
    const operand = this.sum();
    this.expect('symbol', ')');
    const grouping = before ?? this.#grouping() ?? { kind: 'by', labels: [] };
    this.#expectType(operand, 'instant vector', 'aggregation expression');
    return { type: 'aggregation', operation, parameter, grouping, operand };
  }

  #parameter(): Expression {
    const parameter = this.sum();
    this.expect('symbol', ',');
    this.#expectType(parameter, 'scalar', 'aggregation parameter');
    return parameter;
  }

  #grouping(): Grouping | undefined {
    const kind = (['by', 'without'] as const).find((keyword) => this.#takeKeyword(keyword));
    if (!kind) return undefined;
    this.expect('symbol', '(');
    const labels: string[] = [];
    while (!this.#take(')')) {
      labels.push(this.expect('identifier').text);
      if (!this.#take(',') && this.#next.text !== ')') this.expect('symbol', ')');
    }
    return { kind, labels };
  }

  #call(name: (typeof rangeFunctions)[number]): Expression {
    this.expect('symbol', '(');
    const operand = this.sum();
    this.expect('symbol', ')');
    if (operand.type === 'selector' && operand.range) return { type: 'call', name, range: operand };
    throw this.#typeError(`expected type range vector in call to function "${name}", got ${typeOf(operand)}`);
  }

  #selector(name: string): Selector {
    const matchers = this.#take('{') ? this.#matchers() : [];
    const range = this.#take('[') ? this.#range() : null;
    const offset = this.#takeKeyword('offset') ? this.#duration('number or duration') : null;
    return { type: 'selector', name, matchers, range, offset };
  }

  #matchers(): Matcher[] {
    const matchers: Matcher[] = [];
    while (!this.#take('}')) {
      const label = this.expect('identifier').text;
      const operator = (['=', '!=', '=~', '!~'] as const).find((candidate) => this.#take(candidate));
      if (!operator) throw new PromqlParseError(this.#next.position, 'expected a label matching operator');
      const { text: value, position } = this.expect('string');
      if (operator === '=~' || operator === '!~') checkRegExp(value, position);
      matchers.push({ label, operator, value });
      if (!this.#take(',') && this.#next.text !== '}') this.expect('symbol', '}');
    }
    return matchers;
  }

  #range(): Duration {
    const range = this.#duration('duration');
    this.expect('symbol', ']');
    return range;
  }

  /** `what`: the lexer's word for what it expects here. */
  #duration(what: string): Duration {
    const { text, position } = this.expect('duration');
    const secs = durationSecs(text);
    if (secs === undefined) throw badDuration(what, text, position);
    if (secs === 0) throw new PromqlParseError(position, 'duration must be greater than 0');
    return { secs, position };
  }

  #expectType(expression: Expression, wanted: ReturnType<typeof typeOf>, place: string): void {
    const type = typeOf(expression);
    if (type !== wanted) throw this.#typeError(`expected type ${wanted} in ${place}, got ${type}`);
  }

  /** Prometheus looks at types when it has read the whole query, and says that they are wrong at its end. */
  #typeError(reason: string): PromqlParseError {
    return new PromqlParseError(this.tokens.at(-1)?.position ?? 1, reason);
  }
}

/** Prometheus compiles what is compared as a regular expression, also the ids that log-cache takes literally. */
function checkRegExp(value: string, position: number): void {
  try {
    compileRe2(`^(?:${value})$`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new PromqlParseError(position, `error parsing regexp: ${error.message}`);
  }
}

function describe(token: Token): string {
  return token.kind === 'end' ? 'end of input' : `${token.kind} "${token.text}"`;
}
