import { windowOf, lengthMsOf, offsetMsOf, type PromqlQuery } from './query.js';
import type { Selector } from './expression.js';
import type { Point, RequestSeries, Series, SeriesReader } from './series.js';

/** [fromMs, toMs] */
export interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

/** What the selectors of a query see at each of its times. Every selector reads once, for all of them. */
export class Selections {
  readonly #series = new Map<string, readonly Series[]>();

  constructor(
    private readonly reader: SeriesReader,
    private readonly query: PromqlQuery,
  ) {}

  /** What of the stamps belongs to a selector at a time. */
  window(selector: Selector, timeMs: number): Window {
    const toMs = timeMs - offsetMsOf(selector);
    return { fromMs: toMs - lengthMsOf(selector), toMs };
  }

  /** Every series apart; those without a point at that time are left out. See SeriesReader for `computedRequests`. */
  series(selector: Selector, timeMs: number, computedRequests = true): Series[] {
    const window = this.window(selector, timeMs);
    return this.#read(selector, computedRequests)
      .map(({ labels, points }) => ({
        labels,
        points: selector.range ? this.#pointsIn(window, selector, points) : lastPointIn(window, points),
      }))
      .filter(({ points }) => points.length > 0);
  }

  /** The computed requests that `series` left out. */
  requests(selector: Selector, timeMs: number): RequestSeries[] {
    const { fromMs, toMs } = this.window(selector, timeMs);
    const endUs = Math.min(Math.floor(toMs / 1000) * 1e6 + 1e6, this.query.times.endMs * 1000);
    return this.reader.requests(selector, Math.ceil(fromMs / 1000) * 1e6, endUs);
  }

  #read(selector: Selector, computedRequests: boolean): readonly Series[] {
    const key = JSON.stringify([selector.name, selector.matchers, computedRequests]);
    const known = this.#series.get(key);
    if (known) return known;
    const series = this.reader.series(selector, ...windowOf(this.query), computedRequests);
    this.#series.set(key, series);
    return series;
  }

  /**
   * Of several points in a second at which a window ends, the engine takes the first, and never comes back to the
   * others: it goes on from the end of the window before.
   */
  #pointsIn({ fromMs, toMs }: Window, selector: Selector, points: readonly Point[]): Point[] {
    const { startMs, stepMs } = this.query.times;
    const firstEndMs = startMs - offsetMsOf(selector);
    return points.filter(({ timeUs }, i) => {
      const stampMs = timeUs / 1000;
      if (stampMs < fromMs || stampMs > toMs) return false;
      const isEnd = stampMs >= firstEndMs && (stampMs - firstEndMs) % stepMs === 0;
      return !isEnd || points[i - 1]?.timeUs !== timeUs;
    });
  }
}

/** The first point of the second in which a window ends, otherwise the last one before. */
function lastPointIn({ fromMs, toMs }: Window, points: readonly Point[]): Point[] {
  const atEnd = points.find(({ timeUs }) => timeUs === toMs * 1000);
  const point = atEnd ?? points.findLast(({ timeUs }) => timeUs < toMs * 1000);
  return point && point.timeUs >= fromMs * 1000 ? [point] : [];
}
