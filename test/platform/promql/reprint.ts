import { badDuration, hasSeveralUnits } from './duration.js';
import { selectorsOf, type Expression } from './expression.js';

/** Units that Prometheus prints only where the duration is a whole number of them. */
const exactUnits = [
  ['y', 31_536_000],
  ['w', 604_800],
] as const;
const mixedUnits = [
  ['d', 86_400],
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
  for (const { range, offset } of selectorsOf(expression)) {
    for (const [what, duration] of [
      ['duration', range],
      ['number or duration', offset],
    ] as const) {
      const printed = duration ? printDuration(duration.secs) : '';
      if (duration && hasSeveralUnits(printed)) throw badDuration(what, printed, duration.position);
    }
  }
}
