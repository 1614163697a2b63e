import type { Histories } from '../evaluation/decide.js';
import type { Point } from '../explanation/point-series.js';
import type { Series } from '../history/ring.js';

/** The recorded app metrics of one app and metric type. */
export interface Recording {
  readonly metricType: string;
  /** Of the newest value; empty where there is none. */
  readonly unit: string;
  /** Oldest first; timestamps rise strictly. */
  readonly points: readonly Point[];
}

/** Changes a recorded value on its way into the histories; null is *no data*. */
export type Change = (value: bigint, metricType: string, atNs: bigint) => bigint | null;

class Track implements Series {
  size = 0;
  readonly unit: string;
  readonly metricType: string;
  readonly #points: readonly Point[];
  readonly #values: (bigint | null)[] = [];

  constructor({ metricType, unit, points }: Recording) {
    this.metricType = metricType;
    this.unit = unit;
    this.#points = points;
  }

  /** Of the next point; null after the last one. */
  get nextNs(): bigint | null {
    return this.#points[this.size]?.timestampNs ?? null;
  }

  timestampAt(age: number): bigint {
    return this.#point(age).timestampNs;
  }

  valueAt(age: number): bigint | null {
    this.#point(age);
    return this.#values[this.size - 1 - age] ?? null;
  }

  playNext(change: Change | null): void {
    const point = this.#points[this.size];
    if (!point) return;
    const { value, timestampNs } = point;
    this.#values.push(value === null || !change ? value : change(value, this.metricType, timestampNs));
    this.size++;
  }

  #point(age: number): Point {
    const point = age < 0 ? undefined : this.#points[this.size - 1 - age];
    if (!point) throw new RangeError(`no point of age ${age} among ${this.size}`);
    return point;
  }
}

/** Plays recordings of one app: its histories as they were, cycle by cycle. */
export class Tape implements Histories {
  readonly #tracks: readonly Track[];
  readonly #change: Change | null;

  constructor(recordings: readonly Recording[], change: Change | null = null) {
    this.#tracks = recordings.map((recording) => new Track(recording));
    this.#change = change;
  }

  series(_appId: string, metricType: string): Series | undefined {
    return this.#tracks.find((track) => track.metricType === metricType);
  }

  /** Plays on to the next cycle, which is all that carries the next timestamp; null at the end. */
  next(): bigint | null {
    let nextNs: bigint | null = null;
    for (const { nextNs: ownNs } of this.#tracks) {
      if (ownNs !== null && (nextNs === null || ownNs < nextNs)) nextNs = ownNs;
    }
    if (nextNs === null) return null;
    for (const track of this.#tracks) if (track.nextNs === nextNs) track.playNext(this.#change);
    return nextNs;
  }
}
