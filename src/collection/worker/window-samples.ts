import type { ReadJob, SettledWindow } from '../pool/job.js';
import { Mean } from './mean.js';
import { packIntegers, unpackIntegers } from './packed-integers.js';

/** The stat window that samples belong to, and what is settled of it. */
export type StatWindow = Pick<ReadJob, 'startNs' | 'endNs' | 'settled'>;

/** What one metric type measured at one time. */
interface Samples {
  readonly mean: Mean;
  /** Of the first of them. */
  readonly unit: string;
}

interface Slice {
  /** ns before the window's end. */
  readonly ageNs: number;
  /** By metric type. */
  readonly samples: (Samples | undefined)[];
}

/** A larger settled part costs more to copy and to keep than it saves. */
const maxSettledBytes = 128 * 1024;

/** The samples of a stat window by time, so that the settled part can be told from the rest. Metric types are indexes. */
export class WindowSamples {
  readonly #slices = new Map<string, Slice>();
  /** Settled rows that are still in the window: ns before untilNs, then counts and sums. */
  #settledRows: readonly number[];
  /** Units of the newest settled samples. */
  #settledUnits: readonly string[];
  readonly #rowLength: number;

  constructor(
    /** By metric type; null: that of the envelopes. */
    private readonly units: readonly (string | null)[],
    private readonly window: StatWindow,
  ) {
    this.#rowLength = 1 + 2 * units.length;
    this.#settledRows = window.settled ? this.#rowsSince(window.settled, window.startNs) : [];
    this.#settledUnits = window.settled?.units ?? [];
  }

  /** From here on only samples that are added count. */
  forgetSettled(): void {
    this.#settledRows = [];
    this.#settledUnits = [];
  }

  #rowsSince({ rows: packed, untilNs }: SettledWindow, startNs: bigint): number[] {
    const rows = unpackIntegers(packed);
    const oldest = Number(untilNs - startNs);
    let ageNs = 0;
    let first = 0;
    for (let at = 0; at < rows.length; at += this.#rowLength) {
      ageNs -= rows[at] ?? 0;
      rows[at] = ageNs;
      // The window's start is inclusive.
      if (ageNs > oldest) first = at + this.#rowLength;
    }
    return rows.slice(first);
  }

  /** `value` is an integer. */
  add(metricType: number, timestamp: string, value: number, unit: string): void {
    let slice = this.#slices.get(timestamp);
    if (!slice) {
      slice = { ageNs: Number(this.window.endNs - BigInt(timestamp)), samples: [] };
      this.#slices.set(timestamp, slice);
    }
    (slice.samples[metricType] ??= { mean: new Mean(), unit }).mean.add(value);
  }

  /** The mean over the whole window. */
  mean(metricType: number): Mean {
    const mean = new Mean();
    for (const { samples } of this.#slices.values()) {
      const measured = samples[metricType];
      if (measured) mean.merge(measured.mean);
    }
    const rows = this.#settledRows;
    for (let at = 1 + 2 * metricType; at < rows.length; at += this.#rowLength) {
      mean.addSum(rows[at + 1] ?? 0, rows[at] ?? 0);
    }
    return mean;
  }

  unit(metricType: number): string {
    return this.units[metricType] ?? this.#newestUnit(metricType, -Infinity);
  }

  /** The unit of the newest sample older than that: a new version of the app may change it. */
  #newestUnit(metricType: number, minAgeNs: number): string {
    let newest: Samples | undefined;
    let newestAgeNs = Infinity;
    for (const { ageNs, samples } of this.#slices.values()) {
      const measured = samples[metricType];
      if (measured && ageNs > minAgeNs && ageNs < newestAgeNs) {
        newest = measured;
        newestAgeNs = ageNs;
      }
    }
    return newest?.unit ?? this.#settledUnits[metricType] ?? '';
  }

  /** The samples older than untilNs; null where there are none, or too many, or their sum is not exact. */
  settle(untilNs: bigint): Pick<SettledWindow, 'rows' | 'units'> | null {
    const untilAgeNs = Number(this.window.endNs - untilNs);
    const rows = [...this.#settledRows];
    let lastAgeNs = 0;
    const age = (at: number, ageNs: number): void => {
      rows[at] = lastAgeNs - ageNs;
      lastAgeNs = ageNs;
    };
    const shift = this.window.settled ? Number(untilNs - this.window.settled.untilNs) : 0;
    for (let at = 0; at < this.#settledRows.length; at += this.#rowLength) age(at, (rows[at] ?? 0) + shift);

    const added = [...this.#slices.values()].filter(({ ageNs }) => ageNs > untilAgeNs);
    for (const { ageNs, samples } of added.sort((a, b) => b.ageNs - a.ageNs)) {
      age(rows.length, ageNs - untilAgeNs);
      for (let metricType = 0; metricType < this.units.length; metricType++) {
        const mean = samples[metricType]?.mean;
        const sum = mean ? mean.exactSum : 0;
        if (sum === null) return null;
        rows.push(mean?.count ?? 0, sum);
      }
    }
    const packed = packIntegers(rows);
    if (packed.length === 0 || packed.length > maxSettledBytes) return null;
    const units = this.units.map((unit, type) => (unit === null ? this.#newestUnit(type, untilAgeNs) : ''));
    return { rows: packed, units };
  }
}
