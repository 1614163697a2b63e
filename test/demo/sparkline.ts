import { sideOf, type Point } from './app-state.js';
import type { Actor } from './cast.js';
import { barHeights, gapMark, toned, type Look, type Tone } from './look.js';

/** The full height is at least this many times the upper limit, so that a steady value does not look like a peak. */
const headroom = 1.5;

/** The newest values as bars, the newest on the right, in as many characters as the width says. */
export function sparkline(
  actor: Pick<Actor, 'upper' | 'lower'>,
  points: readonly Point[],
  width: number,
  look: Look,
): string {
  const shown = width > 0 ? points.slice(-width) : [];
  const heights = barHeights(look);
  const top = Math.max(headroom * actor.upper, ...shown.map(({ value }) => value ?? 0));
  let line = ' '.repeat(Math.max(0, width - shown.length));
  for (let at = 0; at < shown.length;) {
    const tone = toneOf(actor, shown[at]?.value ?? null);
    let bars = '';
    for (; at < shown.length && toneOf(actor, shown[at]?.value ?? null) === tone; at++) {
      const value = shown[at]?.value ?? null;
      bars += value === null ? gapMark(look) : heights.charAt(levelOf(value / top, heights.length));
    }
    line += toned(look, tone, bars);
  }
  return line;
}

/** Values above and below the limits have a colour each. */
export function toneOf(actor: Pick<Actor, 'upper' | 'lower'>, value: number | null): Tone {
  const side = sideOf(actor, value);
  if (side === 'no-data') return 'quiet';
  return side === 'within' ? 'plain' : side;
}

function levelOf(share: number, levels: number): number {
  return Math.min(levels - 1, Math.max(0, Math.round(share * (levels - 1))));
}
