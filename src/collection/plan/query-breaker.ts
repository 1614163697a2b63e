import { backOff } from '../../util/back-off.js';
import type { Clock } from '../../util/clock.js';

/** So many queries in a row without an answer: it is not the apps. Queries for busy apps end in an answer, if a bad one. */
const timeoutsThatOpen = 3;
const firstPauseMs = 2_000;
/** So long queries may stay away after what made them hang is mended. */
const longestPauseMs = 20_000;

type BreakerState = 'closed' | 'half-open' | 'open';

/** Keeps queries back while none is answered, but for one at a time that finds out whether that is over. */
export class QueryBreaker {
  #timeouts = 0;
  #pauses = 0;
  /** Monotonic ms; null while closed. */
  #openUntilMs: number | null = null;
  #probing = false;

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  get state(): BreakerState {
    if (this.#openUntilMs === null) return 'closed';
    return this.#probing ? 'half-open' : 'open';
  }

  /** What may be asked now. Whoever probes must report what came of it. */
  permit(): 'query' | 'probe' | 'nothing' {
    if (this.#openUntilMs === null) return 'query';
    if (this.#probing || this.clock.monotonic() < this.#openUntilMs) return 'nothing';
    this.#probing = true;
    return 'probe';
  }

  /** A query was answered, whatever the answer. */
  answered(): void {
    this.#timeouts = 0;
    this.#pauses = 0;
    this.#openUntilMs = null;
    this.#probing = false;
  }

  timedOut(): void {
    // Those that were under way when it opened say nothing new.
    if (this.#openUntilMs === null && ++this.#timeouts >= timeoutsThatOpen) this.#pause();
  }

  /** The probe was not answered, or did not get as far as log-cache. */
  probeFailed(): void {
    this.#probing = false;
    if (this.#openUntilMs !== null) this.#pause();
  }

  #pause(): void {
    this.#openUntilMs = this.clock.monotonic() + backOff(firstPauseMs, longestPauseMs, ++this.#pauses);
  }
}
