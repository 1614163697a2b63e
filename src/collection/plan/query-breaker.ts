import { backOff } from '../../util/back-off.js';
import type { Clock } from '../../util/clock.js';

/** After as many timeouts in a row the apps are not the cause: for a busy app log-cache sends an error. */
const timeoutsThatOpen = 3;
const firstPauseMs = 2_000;
/** How long queries may be kept back after the cause is gone. */
const longestPauseMs = 10_000;

type BreakerState = 'closed' | 'half-open' | 'open';

/** Keeps queries back while none has a response. One probe at a time finds out when that is over. */
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

  /** What may be asked now. The result of a probe must be reported. */
  permit(): 'query' | 'probe' | 'nothing' {
    if (this.#openUntilMs === null) return 'query';
    if (this.#probing || this.clock.monotonic() < this.#openUntilMs) return 'nothing';
    this.#probing = true;
    return 'probe';
  }

  /** A query had a response, of whatever kind. */
  responded(): void {
    this.#timeouts = 0;
    this.#pauses = 0;
    this.#openUntilMs = null;
    this.#probing = false;
  }

  timedOut(): void {
    // Queries that were in flight when it opened tell nothing new.
    if (this.#openUntilMs === null && ++this.#timeouts >= timeoutsThatOpen) this.#pause();
  }

  /** The probe had no response, or did not reach log-cache. */
  probeFailed(): void {
    this.#probing = false;
    if (this.#openUntilMs !== null) this.#pause();
  }

  #pause(): void {
    this.#openUntilMs = this.clock.monotonic() + backOff(firstPauseMs, longestPauseMs, ++this.#pauses);
  }
}
