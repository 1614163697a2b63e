/** Tells whether a metric's name passes; unanchored, as Go's MatchString. */
export type NameFilter = (name: string) => boolean;

/** Syntax that JavaScript knows and Go's RE2 refuses: look-around and back-references. */
const notInRe2 = /\(\?(?:=|!|<=|<!)|\\[1-9]|\\k</;

/** Throws a SyntaxError for what RE2 would not compile. */
export function compileNameFilter(pattern: string): NameFilter {
  if (notInRe2.test(pattern.replaceAll('\\\\', ''))) {
    throw new SyntaxError(`invalid or unsupported Perl syntax: \`${pattern}\``);
  }
  const flags = /^\(\?([ims]+)\)/.exec(pattern);
  const expression = new RegExp(
    pattern.slice(flags?.[0].length ?? 0).replaceAll('(?P<', '(?<'),
    flags?.[1] ?? '',
  );
  return (name) => expression.test(name);
}
