import { compileRe2 } from '../re2.js';
import {
  aggregations,
  PromqlParseError,
  rangeFunctions,
  type ArithmeticOperator,
  type Expression,
  type Grouping,
  type Matcher,
  type RangeDuration,
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

/** Seconds of the one-letter units that log-cache's lexer knows. */
const unitSecs: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
  w: 604_800,
  y: 31_536_000,
};

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

  #leftAssociative(operators: readonly ArithmeticOperator[], operand: () => Expression): Expression {
    let left = operand();
    for (;;) {
      const operator = operators.find((candidate) => this.#take(candidate));
      if (!operator) return left;
      left = { type: 'binary', operator, left, right: operand() };
    }
  }

  #unary(): Expression {
    if (this.#take('+')) return this.#unary();
    if (!this.#take('-')) return this.#primary();
    return { type: 'binary', operator: '*', left: { type: 'number', value: -1 }, right: this.#unary() };
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
    const aggregation = aggregations.find((name) => name === token.text);
    if (aggregation) return this.#aggregation(aggregation);
    const call = rangeFunctions.find((name) => name === token.text);
    if (call) return this.#call(call, token);
    if (this.#next.text === '(' && this.#next.kind === 'symbol') {
      throw new PromqlParseError(token.position, `unknown function with name "${token.text}"`);
    }
    return this.#selector(token.text);
  }

  #aggregation(operation: (typeof aggregations)[number]): Expression {
    const before = this.#grouping();
    this.expect('symbol', '(');
    const operand = this.sum();
    this.expect('symbol', ')');
    const grouping = before ?? this.#grouping() ?? { kind: 'by', labels: [] };
    return { type: 'aggregation', operation, grouping, operand };
  }

  #grouping(): Grouping | undefined {
    const { kind, text } = this.#next;
    if (kind !== 'identifier' || (text !== 'by' && text !== 'without')) return undefined;
    this.#at++;
    this.expect('symbol', '(');
    const labels: string[] = [];
    while (!this.#take(')')) {
      labels.push(this.expect('identifier').text);
      if (!this.#take(',') && this.#next.text !== ')') this.expect('symbol', ')');
    }
    return { kind: text, labels };
  }

  #call(name: (typeof rangeFunctions)[number], token: Token): Expression {
    this.expect('symbol', '(');
    const operand = this.sum();
    this.expect('symbol', ')');
    if (operand.type !== 'selector' || operand.range === null) {
      throw new PromqlParseError(token.position, `expected type range vector in call to function "${name}"`);
    }
    return { type: 'call', name, range: operand };
  }

  #selector(name: string): Selector {
    const matchers = this.#take('{') ? this.#matchers() : [];
    return { type: 'selector', name, matchers, range: this.#take('[') ? this.#range() : null };
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

  #range(): RangeDuration {
    const { text, position } = this.expect('duration');
    const secs = Number(text.slice(0, -1)) * (unitSecs[text.slice(-1)] ?? NaN);
    if (!(secs > 0)) throw new PromqlParseError(position, `bad duration syntax: "${text}"`);
    this.expect('symbol', ']');
    return { secs, position };
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
