import { PromqlParseError, selectorsOf, type Expression } from './expression.js';

/** Units that Prometheus prints only where the duration is a whole number of them. */
const exactUnits = [
  ['y', 31_536_000],
  ['w', 604_800],
  ['d', 86_400],
] as const;
const mixedUnits = [
  ['h', 3600],
  ['m', 60],
  ['s', 1],
] as const;

/** A duration as the auth proxy prints it: 90 s becomes `1m30s`. */
export function printDuration(secs: number): string {
  for (const [unit, size] of exactUnits) if (secs % size === 0) return `${secs / size}${unit}`;
  let rest = secs;
  let printed = '';
  for (const [unit, size] of mixedUnits) {
    if (rest < size) continue;
    printed += `${Math.floor(rest / size)}${unit}`;
    rest %= size;
  }
  return printed;
}

/**
 * The auth proxy prints every query anew from its tree, and log-cache's older lexer knows only durations of one
 * unit. Throws what log-cache says then. A query over gRPC is not printed anew.
 */
export function checkReprinted(expression: Expression): void {
  for (const { range } of selectorsOf(expression)) {
    if (!range) continue;
    const wrong = /^\d+[a-z]\d/.exec(printDuration(range.secs));
    if (wrong) throw new PromqlParseError(range.position, `bad duration syntax: "${wrong[0]}"`);
  }
}
