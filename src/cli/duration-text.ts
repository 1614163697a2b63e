const units = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'min'],
  [1_000, 's'],
] as const;

/** In its two largest units: `6 h 10 min`, `40 s`. */
export function durationText(ms: number): string {
  const first = units.findIndex(([unitMs]) => ms >= unitMs);
  if (first < 0) return '0';
  let left = ms;
  const parts = units.slice(first, first + 2).map(([unitMs, name]) => {
    const count = Math.floor(left / unitMs);
    left -= count * unitMs;
    return count === 0 ? '' : `${count} ${name}`;
  });
  return parts.filter((part) => part !== '').join(' ');
}
