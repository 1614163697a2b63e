import { nsToMs } from '../../util/clock.js';
import { fnv1a32, mix32 } from '../../util/hash.js';
import type { ReadJob, SettledWindow } from '../pool/job.js';
import { ForgettingMap } from './forgetting-map.js';

/** Each app reads its whole window once in this many cycles, so that an error in the settled part cannot last. It costs 3 %. */
const fullReadEvery = 30;
/** 50,000 apps of three instances with rules on three gauges take half of it. */
const defaultMaxBytes = 64 * 1024 * 1024;
/** What an app takes besides its rows. */
const bytesPerApp = 350;

type WindowOfApp = Pick<ReadJob, 'appId' | 'gaugeTypes' | 'startNs' | 'endNs'>;

interface Kept {
  settled: SettledWindow;
  /** Start of the window that it was read in. */
  startNs: bigint;
  gaugeTypes: readonly string[];
  cyclesToFullRead: number;
}

/**
 * Keeps the settled part of each app's stat window from one cycle to the next. A cycle that fails leaves it as it is:
 * a log-cache in trouble must not get more to do.
 */
export class SettledWindows {
  readonly #byApp = new ForgettingMap<Kept>();
  #bytes = 0;

  constructor(private readonly maxBytes = defaultMaxBytes) {}

  /** The settled part that the app's read of this window starts from; null if it has to read all of the window. */
  of(window: WindowOfApp): SettledWindow | null {
    const kept = this.#byApp.get(window.appId);
    if (!kept || kept.cyclesToFullRead === 0) return null;
    const wentBack = window.startNs < kept.startNs;
    const gap = window.startNs >= kept.settled.untilNs;
    if (wentBack || gap) return null;
    return sameTypes(kept.gaugeTypes, window.gaugeTypes) ? kept.settled : null;
  }

  /** Keeps what a read of this window has settled. Without room for it, the app reads all of its next window. */
  keep({ appId, gaugeTypes, startNs }: WindowOfApp, settled: SettledWindow | null): void {
    this.#byApp.sweep(
      nsToMs(startNs) / 1000,
      (app) => app.settled.untilNs <= startNs,
      (_appId, app) => (this.#bytes -= bytesOf(app.settled)),
    );
    const kept = this.#byApp.get(appId);
    const free = this.maxBytes - this.#bytes + (kept ? bytesOf(kept.settled) : 0);
    if (!settled || bytesOf(settled) > free) {
      this.#forget(appId);
    } else if (kept) {
      // Changed in place: a Map whose entries come and go leaves outgrown tables behind.
      this.#bytes += bytesOf(settled) - bytesOf(kept.settled);
      kept.settled = settled;
      kept.startNs = startNs;
      if (!sameTypes(kept.gaugeTypes, gaugeTypes)) kept.gaugeTypes = exactly(gaugeTypes);
      kept.cyclesToFullRead = (kept.cyclesToFullRead || fullReadEvery) - 1;
    } else {
      const cyclesToFullRead = mix32(fnv1a32(appId)) % fullReadEvery;
      this.#byApp.set(appId, { settled, startNs, gaugeTypes: exactly(gaugeTypes), cyclesToFullRead });
      this.#bytes += bytesOf(settled);
    }
  }

  get size(): number {
    return this.#byApp.size;
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

/** `filter` leaves room for sixteen elements. A copy has room for its own only. */
function exactly(types: readonly string[]): readonly string[] {
  return types.slice();
}
