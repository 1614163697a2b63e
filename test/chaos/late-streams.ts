import { hashText } from '../platform/deterministic.js';
import type { StreamOfApp } from '../platform/log-cache-store.js';

interface Spell {
  readonly fromUs: number;
  toUs: number;
  readonly lateMs: number;
  readonly seed: number;
}

/** One of so many streams is late. */
const share = 3;

/**
 * Which envelopes reach log-cache late: those of some streams that were stamped during a spell, and those behind them. A
 * stream keeps its order, and other streams of the same app are punctual.
 */
export class LateStreams {
  readonly #spells: Spell[] = [];

  begin(lateMs: number, seed: number, nowMs = Date.now()): void {
    this.#spells.push({ fromUs: nowMs * 1000, toUs: Infinity, lateMs, seed });
  }

  end(nowMs = Date.now()): void {
    const last = this.#spells.at(-1);
    if (last?.toUs === Infinity) last.toUs = nowMs * 1000;
  }

  /** How late the envelope is. Custom metrics of one instance are a stream, its container's gauges another. */
  lateMs(stream: Pick<StreamOfApp, 'appId' | 'instanceId'>, isCustom: boolean, timestampUs: number): number {
    const spell = this.#spells.find(
      ({ fromUs, toUs, lateMs }) => timestampUs >= fromUs && timestampUs < toUs + lateMs * 1000,
    );
    if (!spell) return 0;
    const { appId, instanceId } = stream;
    const isLate = hashText(`${appId} ${instanceId} ${isCustom}`, spell.seed) % share === 0;
    const behindMs = (timestampUs - spell.toUs) / 1000;
    return isLate ? spell.lateMs - Math.max(0, behindMs) : 0;
  }
}
