import { compileRe2 } from './re2.js';

/** Tells whether a metric's name passes; unanchored, as Go's MatchString. */
export type NameFilter = (name: string) => boolean;

/** Throws a SyntaxError for what RE2 would not compile. */
export function compileNameFilter(pattern: string): NameFilter {
  const expression = compileRe2(pattern);
  return (name) => expression.test(name);
}
