import type { Histories } from '../evaluation/decide.js';
import type { Series } from '../history/ring.js';
import type { Recording } from './recording.js';

/** Changes a recorded value on its way into the histories; null is *no data*. */
export type Change = (value: bigint, metricType: string, atNs: bigint) => bigint | null;

class Track implements Series {
  size = 0;
  /** Of the next point; null after the last one. */
  nextNs: bigint | null;
  readonly #recording: Recording;
  readonly #change: Change | null;
  readonly #changed: (bigint | null)[] = [];

  constructor(recording: Recording, change: Change | null) {
    this.#recording = recording;
    this.#change = change;
    this.nextNs = recording.size > 0 ? recording.timestampAt(0) : null;
  }

  get metricType(): string {
    return this.#recording.metricType;
  }

  get unit(): string {
    return this.#recording.unit;
  }

  timestampAt(age: number): bigint {
    return this.#recording.timestampAt(this.#indexOf(age));
  }

  valueAt(age: number): bigint | null {
    const index = this.#indexOf(age);
    return this.#change ? (this.#changed[index] ?? null) : this.#recording.valueAt(index);
  }

  playNext(): void {
    const recording = this.#recording;
    if (this.#change && this.nextNs !== null) {
      const value = recording.valueAt(this.size);
      this.#changed.push(value === null ? null : this.#change(value, recording.metricType, this.nextNs));
    }
    this.size++;
    this.nextNs = this.size < recording.size ? recording.timestampAt(this.size) : null;
  }

  #indexOf(age: number): number {
    if (age < 0 || age >= this.size) throw new RangeError(`no point of age ${age} among ${this.size}`);
    return this.size - 1 - age;
  }
}

/** Plays recordings of one app: its histories as they were, cycle by cycle. */
export class Tape implements Histories {
  readonly #tracks: readonly Track[];

  constructor(recordings: readonly Recording[], change: Change | null = null) {
    this.#tracks = recordings.map((recording) => new Track(recording, change));
  }

  /** A tape that has been played to its end. */
  static whole(recordings: readonly Recording[]): Tape {
    const tape = new Tape(recordings);
    while (tape.next() !== null);
    return tape;
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
    for (const track of this.#tracks) if (track.nextNs === nextNs) track.playNext();
    return nextNs;
  }
}
