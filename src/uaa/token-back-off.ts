import { backOff } from '../util/back-off.js';
import type { UaaConfig } from '../config/config.js';
import type { TokenError } from './token-error.js';

interface Pace {
  readonly firstMs: number;
  readonly maxMs: number;
}

const outagePace: Pace = { firstMs: 1000, maxMs: 60_000 };
/** A rejected client is not locked. Its secret may be repaired at UAA, which shows only when a token is asked for. */
const clientPace: Pace = { firstMs: 30_000, maxMs: 60_000 };
/**
 * UAA locks an account after 5 failures within 1200 s. Two within the first 1200 s, and then one, leave room for other
 * instances and for the user's own mistakes.
 */
const accountPace: Pace = { firstMs: 600_000, maxMs: 1_200_000 };
/** Instances that failed together must not return together. Only added, because the paces are the least that is kept. */
const jitter = 0.25;

/** How long UAA is left alone after failures. */
export class TokenBackOff {
  readonly #rejectedPace: Pace;
  #failures = 0;
  #rejected: boolean | null = null;

  constructor(
    grant: UaaConfig['grant'],
    private readonly random = Math.random,
  ) {
    this.#rejectedPace = grant.type === 'password' ? accountPace : clientPace;
  }

  /** Counts the failure; returns how long not to ask again, in milliseconds. */
  failed({ kind, retryAfterMs }: TokenError): number {
    const rejected = kind === 'credentials';
    // A rejection after an outage, and an outage after a rejection, starts a series of its own.
    this.#failures = rejected === this.#rejected ? this.#failures + 1 : 1;
    this.#rejected = rejected;
    const { firstMs, maxMs } = rejected ? this.#rejectedPace : outagePace;
    const delayMs = backOff(firstMs, maxMs, this.#failures) * (1 + jitter * this.random());
    return Math.max(delayMs, retryAfterMs ?? 0);
  }

  succeeded(): void {
    this.#rejected = null;
  }
}
