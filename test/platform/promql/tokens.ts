import { PromqlParseError } from './expression.js';

export type TokenKind = 'number' | 'duration' | 'string' | 'identifier' | 'symbol' | 'end';

export interface Token {
  readonly kind: TokenKind;
  /** The text; a string's content without its quotes. */
  readonly text: string;
  /** Counted from 1, as in Prometheus' messages. */
  readonly position: number;
}

const patterns: readonly (readonly [TokenKind | 'space', RegExp])[] = [
  ['space', /\s+|#[^\n]*/y],
  ['duration', /\d+(?![eE][+-]?\d)[a-z]\w*/y],
  ['number', /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y],
  ['identifier', /[a-zA-Z_:][\w:]*/y],
  ['string', /"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`/y],
  ['symbol', /=~|!~|!=|[-+*/%=(){}[\],]/y],
];

export function tokenize(query: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  while (at < query.length) {
    const token = nextToken(query, at);
    if (token.kind !== 'space') {
      const text = token.kind === 'string' ? unquote(token.text) : token.text;
      tokens.push({ kind: token.kind, text, position: at + 1 });
    }
    at += token.text.length;
  }
  tokens.push({ kind: 'end', text: '', position: query.length + 1 });
  return tokens;
}

function nextToken(query: string, at: number): { kind: TokenKind | 'space'; text: string } {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const text = pattern.exec(query)?.[0];
    if (text) return { kind, text };
  }
  throw new PromqlParseError(at + 1, `unexpected character: ${JSON.stringify(query.charAt(at))}`);
}

function unquote(text: string): string {
  const content = text.slice(1, -1);
  return text.startsWith('`') ? content : content.replace(/\\(.)/g, '$1');
}
