import type { Clock } from '../../../src/util/clock.js';
import type { Apps } from '../apps.js';
import { waitForFault } from '../faults.js';
import type { LogCacheStore } from '../log-cache-store.js';
import { countModelMetrics } from '../model-envelopes.js';
import { selectorsOf, sourceIdsOf } from './expression.js';
import { windowOf, type PromqlQuery } from './query.js';
import { PromqlEngineError } from './series.js';

/** A source's read has a deadline of its own. */
const sourceLimitMs = 5_000;
/** The engine looks at its clock only after all sources were read. */
const queryLimitMs = 10_000;
/** Nobody notices less, and most tests ask for less. */
const shortestMs = 50;
const metrics = { types: new Set(['GAUGE', 'COUNTER', 'TIMER'] as const), nameFilter: null };

/** A source could not be read in time; over HTTP the gateway's 504. */
export class SourceTooSlow extends Error {
  override readonly name = 'SourceTooSlow';
}

/**
 * What queries cost log-cache: it reads all gauges, counters and timers of each source, whatever the query is about, in
 * pages of 100, one source after the other.
 */
export class QueryCost {
  constructor(
    private readonly store: Pick<LogCacheStore, 'injectedEnvelopes' | 'visibleUntilUs'>,
    private readonly apps: Pick<Apps, 'get'>,
    private readonly clock: Pick<Clock, 'now' | 'setTimer'>,
    private readonly usPerEnvelope: number,
  ) {}

  /**
   * Takes the time that a query takes, while somebody waits for it; a range query reads no more than once. Rejects with
   * SourceTooSlow or a PromqlEngineError at log-cache's own limits.
   */
  async paid(query: PromqlQuery, gone: AbortSignal): Promise<void> {
    const { ms, error } = this.#of(query);
    if (ms >= shortestMs) await waitForFault(this.clock, ms, [gone]);
    if (error) throw error;
  }

  #of(query: PromqlQuery): { ms: number; error: Error | null } {
    const window = windowOf(query);
    let ms = 0;
    for (const selector of selectorsOf(query.expression)) {
      for (const sourceId of new Set(sourceIdsOf(selector))) {
        const sourceMs = (this.#count(sourceId, ...window) * this.usPerEnvelope) / 1000;
        if (sourceMs > sourceLimitMs) {
          return { ms: ms + sourceLimitMs, error: new SourceTooSlow('context deadline exceeded') };
        }
        ms += sourceMs;
      }
    }
    const late = ms > queryLimitMs;
    return { ms, error: late ? new PromqlEngineError('query timed out in query execution') : null };
  }

  #count(sourceId: string, fromUs: number, toUs: number): number {
    const app = this.apps.get(sourceId);
    const { visibleUntilUs } = this.store;
    const injected = this.store.injectedEnvelopes(sourceId, metrics, fromUs, toUs).length;
    return injected + (app ? countModelMetrics(app, fromUs, Math.min(toUs, visibleUntilUs)) : 0);
  }
}
