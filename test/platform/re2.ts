/*
 * Go's regular expressions (RE2), which log-cache compiles name filters and PromQL's `=~` with, as JavaScript's. Look-around
 * and back-references are refused as there; of what RE2 alone knows, flags within a pattern are not understood.
 */

/** Throws a SyntaxError, with Go's text where it is one of the usual mistakes, for what RE2 would not compile. */
export function compileRe2(pattern: string): RegExp {
  const look = /\(\?(?:=|!|<=|<!)/.exec(pattern.replaceAll(/\\[^]/g, '__'))?.[0];
  if (look !== undefined) throw new SyntaxError(`invalid or unsupported Perl syntax: \`${look}\``);
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const body = pattern
    .slice(flags?.[0].length ?? 0)
    .replace(
      /\\Q([^]*?)(?:\\E|$)|\\([^]?)|\[:(\^?)(\w+):\]|\(\?P</g,
      (all, quoted?: string, escaped?: string, not?: string, name?: string) => {
        if (quoted !== undefined) return quoted.replaceAll(/[^\w]/g, literal);
        if (escaped !== undefined) return escape(escaped);
        if (name !== undefined) return classOf(all, not === '^', name);
        return '(?<';
      },
    );
  return new RegExp(body, `u${flags?.[1] ?? ''}`);
}

const classes: Readonly<Record<string, string>> = {
  alnum: '0-9A-Za-z',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  punct: '!-\\/:-@\\[-`{-~',
  space: '\\t\\n\\v\\f\\r ',
  upper: 'A-Z',
  word: '0-9A-Za-z_',
  xdigit: '0-9A-Fa-f',
};

function classOf(all: string, isNegated: boolean, name: string): string {
  const members = classes[name];
  if (members === undefined || isNegated) throw new SyntaxError(`invalid character class range: \`${all}\``);
  return members;
}

function escape(character: string): string {
  if (character === '') throw new SyntaxError('trailing backslash at end of expression: ``');
  if (/[dDsSwWbBfnrtvxpP]/.test(character)) return `\\${character}`;
  if (character === 'A') return '^';
  if (character === 'z') return '$';
  if (character === 'a') return '\\x07';
  if (/\w/.test(character)) throw new SyntaxError(`invalid escape sequence: \`\\${character}\``);
  return literal(character);
}

function literal(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
