/**
 * How long to wait after so many failures in a row (1 or more): doubles with each, from `firstMs` up to `maxMs`.
 * With `random` (0 to 1) up to half of it is taken off, so that members that failed together do not return together.
 */
export function backOff(firstMs: number, maxMs: number, failures: number, random = () => 0): number {
  return Math.min(maxMs, firstMs * 2 ** (failures - 1)) * (1 - random() / 2);
}
