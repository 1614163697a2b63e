import type { UaaConfig } from '../config/config.js';
import type { TokenError } from './token-error.js';

interface Pace {
  readonly firstMs: number;
  readonly maxMs: number;
}

/** An outage: come back soon, and not all instances at once. */
const outagePace: Pace = { firstMs: 1000, maxMs: 60_000 };
/** A refused client has no lock-out, but asking more often does not repair its secret. */
const clientPace: Pace = { firstMs: 30_000, maxMs: 600_000 };
/**
 * UAA locks an account after 5 failures within 1200 s: at most two within that time leave room for a second instance
 * and for the user's own mistakes. Waiting long after a repaired password is the lesser evil: a restart ends it.
 */
const accountPace: Pace = { firstMs: 600_000, maxMs: 3_600_000 };

/** How long UAA is left alone after failures. Pure but for the jitter. */
export class TokenBackOff {
  readonly #refusedPace: Pace;
  readonly #random: () => number;
  #failures = 0;
  #kind: TokenError['kind'] | null = null;

  constructor(grant: UaaConfig['grant'], random: () => number) {
    this.#refusedPace = grant.type === 'password' ? accountPace : clientPace;
    this.#random = random;
  }

  /** Counts the failure; returns how long not to ask again, in milliseconds. */
  failed(error: TokenError): number {
    const pace = error.kind === 'credentials' ? this.#refusedPace : outagePace;
    // A refusal after an outage (and the other way round) starts a series of its own.
    if ((error.kind === 'credentials') !== (this.#kind === 'credentials')) this.#failures = 0;
    this.#kind = error.kind;
    const delayMs = Math.min(pace.firstMs * 2 ** this.#failures, pace.maxMs);
    this.#failures++;
    // Jitter upwards only: the pace of refusals is a promise.
    return Math.max(delayMs * (1 + 0.25 * this.#random()), error.retryAfterMs ?? 0);
  }

  succeeded(): void {
    this.#failures = 0;
    this.#kind = null;
  }
}
