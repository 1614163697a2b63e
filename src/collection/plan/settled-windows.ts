import { secsToNs } from '../../util/clock.js';
import { fnv1a32, mix32 } from '../../util/hash.js';
import type { ReadJob, SettledWindow } from '../pool/job.js';

/**
 * Every app reads its whole window once in so many cycles: whatever a settled part might have got wrong cannot stay.
 * At a fifth of the apps' reads the whole saving would be lost, at a thirtieth it costs 3 %.
 */
const fullReadEvery = 30;
/** 50,000 apps of three instances with rules on three gauges take half of it. */
const defaultMaxBytes = 64 * 1024 * 1024;
/** What an app takes besides its rows. */
const bytesPerApp = 350;
const sweepEveryNs = secsToNs(60);

type WindowOfApp = Pick<ReadJob, 'appId' | 'gaugeTypes' | 'startNs' | 'endNs'>;

interface Kept {
  settled: SettledWindow;
  /** Start of the window that it was read in. */
  startNs: bigint;
  gaugeTypes: readonly string[];
  cyclesToFullRead: number;
}

/**
 * Keeps what is settled of each app's stat window from one cycle to the next. Forgets by itself what no cycle can go on
 * from. A cycle that fails leaves it as it is: to read everything again is the last that a log-cache in trouble needs.
 */
export class SettledWindows {
  readonly #byApp = new Map<string, Kept>();
  #bytes = 0;
  #sweptNs: bigint | null = null;

  constructor(private readonly maxBytes = defaultMaxBytes) {}

  /** What the app's read of this window may go on from; null if it has to read all of it. */
  of(window: WindowOfApp): SettledWindow | null {
    const kept = this.#byApp.get(window.appId);
    if (!kept || kept.cyclesToFullRead === 0) return null;
    const wentBack = window.startNs < kept.startNs;
    const gap = window.startNs >= kept.settled.untilNs;
    if (wentBack || gap) return null;
    return sameTypes(kept.gaugeTypes, window.gaugeTypes) ? kept.settled : null;
  }

  /** Takes over what a read of this window has settled. Where there is no room the app reads all of its next one. */
  keep({ appId, gaugeTypes, startNs }: WindowOfApp, settled: SettledWindow | null): void {
    this.#sweep(startNs);
    const kept = this.#byApp.get(appId);
    const free = this.maxBytes - this.#bytes + (kept ? bytesOf(kept.settled) : 0);
    if (!settled || bytesOf(settled) > free) {
      this.#forget(appId);
    } else if (kept) {
      // In place: taken out and put in again it would leave the Map behind with tables of what it once held.
      this.#bytes += bytesOf(settled) - bytesOf(kept.settled);
      kept.settled = settled;
      kept.startNs = startNs;
      kept.gaugeTypes = gaugeTypes;
      kept.cyclesToFullRead = (kept.cyclesToFullRead || fullReadEvery) - 1;
    } else {
      const cyclesToFullRead = mix32(fnv1a32(appId)) % fullReadEvery;
      this.#byApp.set(appId, { settled, startNs, gaugeTypes, cyclesToFullRead });
      this.#bytes += bytesOf(settled);
    }
  }

  get size(): number {
    return this.#byApp.size;
  }

  /** Once in a while forgets the apps that had no cycle for so long that nothing of their window is left. */
  #sweep(startNs: bigint): void {
    if (this.#sweptNs !== null && startNs >= this.#sweptNs && startNs < this.#sweptNs + sweepEveryNs) return;
    this.#sweptNs = startNs;
    for (const [appId, { settled }] of this.#byApp) if (settled.untilNs <= startNs) this.#forget(appId);
  }

  #forget(appId: string): void {
    const kept = this.#byApp.get(appId);
    if (!kept) return;
    this.#byApp.delete(appId);
    this.#bytes -= bytesOf(kept.settled);
  }
}

function bytesOf({ rows }: SettledWindow): number {
  return rows.length + bytesPerApp;
}

function sameTypes(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((type, i) => type === b[i]);
}
