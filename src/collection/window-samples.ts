import type { SettledWindow } from './job.js';
import { Mean } from './mean.js';

/** The stat window that samples belong to, and what is settled of it. */
export interface Window {
  /** Inclusive, ns since the epoch. */
  readonly startNs: bigint;
  /** Exclusive, ns since the epoch. */
  readonly endNs: bigint;
  readonly settled: SettledWindow | null;
}

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

/** With more numbers, a settled part would cost more to hand from thread to thread than it saves. */
const maxSettledNumbers = 40_000;

/**
 * The samples of a stat window by time, so that what is settled of them can be told from the rest. Metric types are
 * known by their index. The layout of settled rows is this file's business alone.
 */
export class WindowSamples {
  readonly #slices = new Map<string, Slice>();
  /** Settled rows that are still in the window begin here. */
  readonly #firstRow: number;
  readonly #rowLength: number;

  constructor(
    /** By metric type; null: that of the envelopes. */
    private readonly units: readonly (string | null)[],
    private readonly window: Window,
  ) {
    this.#rowLength = 1 + 2 * units.length;
    this.#firstRow = window.settled ? this.#rowSince(window.settled, window.startNs) : 0;
  }

  #rowSince({ rows, untilNs }: SettledWindow, startNs: bigint): number {
    const oldest = Number(untilNs - startNs);
    let at = 0;
    while (at < rows.length && (rows[at] ?? 0) > oldest) at += this.#rowLength;
    return at;
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
    const rows = this.window.settled?.rows ?? [];
    for (let at = this.#firstRow + 1 + 2 * metricType; at < rows.length; at += this.#rowLength) {
      mean.addSum(rows[at + 1] ?? 0, rows[at] ?? 0);
    }
    return mean;
  }

  unit(metricType: number): string {
    return this.units[metricType] ?? this.#newestUnit(metricType, -Infinity);
  }

  /** The unit of the newest sample of that age or older: it may change when a new version of the app is rolled out. */
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
    return newest?.unit ?? this.window.settled?.units[metricType] ?? '';
  }

  /** What is older than untilNs; null where that is nothing, or not to be handed on exactly or cheaply. */
  settle(untilNs: bigint): SettledWindow | null {
    const untilAgeNs = Number(this.window.endNs - untilNs);
    const added = [...this.#slices.values()].filter(({ ageNs }) => ageNs > untilAgeNs);
    const { settled } = this.window;
    const kept = settled?.rows.subarray(this.#firstRow) ?? new Float64Array();
    const length = kept.length + added.length * this.#rowLength;
    if (length === 0 || length > maxSettledNumbers) return null;

    const rows = new Float64Array(length);
    rows.set(kept);
    const shift = settled ? Number(untilNs - settled.untilNs) : 0;
    for (let at = 0; at < kept.length; at += this.#rowLength) rows[at] = (rows[at] ?? 0) + shift;
    let at = kept.length;
    for (const { ageNs, samples } of added.sort((a, b) => b.ageNs - a.ageNs)) {
      rows[at] = ageNs - untilAgeNs;
      for (const [metricType, measured] of samples.entries()) {
        if (!measured) continue;
        const sum = measured.mean.exactSum;
        if (sum === null) return null;
        rows[at + 1 + 2 * metricType] = measured.mean.count;
        rows[at + 2 + 2 * metricType] = sum;
      }
      at += this.#rowLength;
    }
    const units = this.units.map((unit, type) => (unit === null ? this.#newestUnit(type, untilAgeNs) : ''));
    return { untilNs, rows, units };
  }
}
