/** A stretch of wall-clock time. */
export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Something that went wrong on purpose. */
export interface FaultEntry extends Span {
  readonly name: string;
  /** What exactly, for the reader of a report. */
  readonly detail: string;
  /** What it may do to what is stored and posted beyond holding things up. */
  readonly effects: ReadonlySet<FaultEffect>;
  /** How much the wall clocks of some members went ahead; negative: behind. */
  readonly aheadMs?: number;
  /** The only app that it happened to. */
  readonly app?: string;
}

/**
 * What a fault excuses while it is in force and for a window after it:
 * - `hides`: log-cache answers and does not have, or does not show, all envelopes: *no data* is right where it knows
 *   that it does not know
 * - `partial`: a part of a window's samples is lost, so that a gauge's value is that of the others
 * - `late`: some streams of gauges arrive late, so that a value is that of the samples which had arrived
 * - `timers`: http timers are lost, so that http values are *no data*, or too low where a window lost a part
 * - `unclaimed`: claims of triggers are forgotten or cannot be made
 */
export type FaultEffect = 'hides' | 'partial' | 'late' | 'timers' | 'unclaimed';

/** When which fault was in force. */
export class Diary {
  readonly entries: FaultEntry[] = [];

  note(entry: FaultEntry): void {
    this.entries.push(entry);
  }

  /** The faults that were in force at some time of the span. */
  within({ fromMs, toMs }: Span, effect?: FaultEffect): FaultEntry[] {
    return this.entries.filter(
      (entry) =>
        entry.fromMs <= toMs && entry.toMs >= fromMs && (effect === undefined || entry.effects.has(effect)),
    );
  }

  /** Whether rows with times of the span may carry wrong ones, or others were written in it. */
  hasWrongTimes({ fromMs, toMs }: Span): boolean {
    return this.entries.some(
      ({ aheadMs, ...fault }) =>
        aheadMs !== undefined &&
        fault.fromMs + Math.min(0, aheadMs) <= toMs &&
        fault.toMs + Math.max(0, aheadMs) >= fromMs,
    );
  }

  /** When the last fault that began before was lifted; -Infinity before the first. */
  lastLiftedMs(beforeMs: number): number {
    return Math.max(
      -Infinity,
      ...this.entries.filter(({ fromMs }) => fromMs <= beforeMs).map(({ toMs }) => toMs),
    );
  }

  /** Stretches without any fault. */
  calm({ fromMs, toMs }: Span): Span[] {
    const found: Span[] = [];
    let atMs = fromMs;
    for (const entry of this.entries.toSorted((a, b) => a.fromMs - b.fromMs)) {
      if (entry.fromMs > atMs) found.push({ fromMs: atMs, toMs: Math.min(entry.fromMs, toMs) });
      atMs = Math.max(atMs, entry.toMs);
    }
    if (atMs < toMs) found.push({ fromMs: atMs, toMs });
    return found;
  }
}
