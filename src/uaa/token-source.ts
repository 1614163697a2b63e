import type { Clock, Timer } from '../util/clock.js';
import type { UaaConfig } from '../config/config.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { errorText } from '../util/errors.js';
import { TokenBackOff } from './token-back-off.js';
import { RejectionPause } from './rejection-pause.js';
import { TokenError } from './token-error.js';
import { createTokenRequest, type Token, type TokenRequest } from './token-request.js';

export interface TokenSourceOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'tokenAgeSeconds' | 'tokenRequests' | 'logLinesSuppressed'>;
  readonly roots: Pick<CaCertificates, 'current'>;
  /** 0 ≤ x < 1, for jitter. */
  readonly random?: () => number;
}

/** A token is renewed in the background after this share of its life, so that no caller waits for one. */
const renewAfterShare = 0.8;
/** Tokens that live for less, or have expired when they arrive, must not make a hot loop. */
const minUseMs = 1000;
/** Longer lives are cut, because a key may be rotated meanwhile. */
const maxLifetimeSecs = 7 * 24 * 3600;

interface HeldToken {
  readonly authorization: string;
  /** Both monotonic ms; the wall clocks of UAA and ours may differ or jump. */
  readonly requestedMs: number;
  readonly expiresMs: number;
}

/** One token for all that talk to log-cache. UAA is asked when the first caller wants a token. */
export class TokenSource {
  readonly #request: TokenRequest;
  readonly #closing = new AbortController();
  readonly #backOff: TokenBackOff;
  readonly #rejections = new RejectionPause();
  readonly #repeated: RepeatedEvents;
  #token: HeldToken | null = null;
  #inFlight: Promise<HeldToken> | null = null;
  #renewal: Timer | undefined;
  /** Why and until when (monotonic ms) UAA is left alone; null while all is well. */
  #failure: { readonly error: TokenError; readonly retryAtMs: number } | null = null;
  #failures = 0;

  constructor(
    config: UaaConfig,
    private readonly options: TokenSourceOptions,
  ) {
    this.#repeated = new RepeatedEvents(options);
    this.#request = createTokenRequest(config, { ...options, signal: this.#closing.signal });
    this.#backOff = new TokenBackOff(config.grant, options.random);
    this.#exportAge();
  }

  /**
   * The value of the Authorization header. Waits only where there is no usable token. Rejects with a TokenError, at once
   * while UAA is left alone after a failure.
   */
  async authorization(): Promise<string> {
    this.#exportAge();
    const token = this.#usable() ?? (await this.#obtain());
    return token.authorization;
  }

  /**
   * A newer authorization than the one that log-cache rejected for these apps, or null where there is none now:
   * refreshing is limited because the rejection may be about an app and not the token. Never rejects.
   */
  async refreshAfterRejection(rejected: string, appIds: readonly string[]): Promise<string | null> {
    const token = this.#usable();
    if (token && token.authorization !== rejected) return token.authorization;
    const nowMs = this.options.clock.monotonic();
    if (token && !this.#inFlight && !this.#rejections.rejected(appIds, nowMs)) return null;
    try {
      const fresh = await this.#obtain();
      return fresh.authorization === rejected ? null : fresh.authorization;
    } catch {
      return null; // logged and counted where it failed
    }
  }

  /** log-cache served these apps with the authorization. */
  accepted(authorization: string, appIds: readonly string[]): void {
    if (authorization !== this.#token?.authorization) return;
    this.#rejections.accepted(appIds, this.options.clock.monotonic());
  }

  /** Aborts what is under way. Idempotent. */
  close(): void {
    this.#closing.abort();
    this.#renewal?.cancel();
  }

  #usable(): HeldToken | null {
    return this.#token && this.options.clock.monotonic() < this.#token.expiresMs ? this.#token : null;
  }

  #obtain(): Promise<HeldToken> {
    const failure = this.#failure;
    if (!this.#inFlight && failure && this.options.clock.monotonic() < failure.retryAtMs) {
      return Promise.reject(failure.error);
    }
    return this.#renew();
  }

  /** One request for all that wait. */
  #renew(): Promise<HeldToken> {
    return (this.#inFlight ??= this.#fetch().finally(() => (this.#inFlight = null)));
  }

  async #fetch(): Promise<HeldToken> {
    const requestedMs = this.options.clock.monotonic();
    try {
      const token = await this.#request();
      return this.#accept(token, requestedMs);
    } catch (error) {
      throw this.#fail(error instanceof TokenError ? error : new TokenError('bad-answer', errorText(error)));
    }
  }

  #accept(token: Token, requestedMs: number): HeldToken {
    const { clock, logger, metrics } = this.options;
    const nowMs = clock.monotonic();
    const lifetimeMs = Math.min(token.lifetimeSecs, maxLifetimeSecs) * 1000;
    const held = {
      authorization: token.authorization,
      requestedMs,
      expiresMs: Math.max(requestedMs + lifetimeMs, nowMs + minUseMs),
    };
    this.#token = held;
    metrics.tokenRequests.inc({ result: 'ok' });
    this.#exportAge();
    if (this.#failures > 0) this.#repeated.info('token-recovered', { failures: this.#failures });
    else logger.debug('token-obtained', { lifetimeSecs: token.lifetimeSecs });
    this.#failure = null;
    this.#failures = 0;
    this.#backOff.succeeded();
    this.#rejections.obtained();
    this.#renewAfter(Math.max(requestedMs + lifetimeMs * renewAfterShare - nowMs, minUseMs));
    return held;
  }

  #fail(error: TokenError): TokenError {
    if (this.#closing.signal.aborted) return error;
    const { clock, metrics } = this.options;
    const delayMs = this.#backOff.failed(error);
    const usable = this.#usable();
    metrics.tokenRequests.inc({ result: error.kind });
    this.#exportAge();
    if (error.kind !== this.#failure?.error.kind) {
      const facts = {
        kind: error.kind,
        nextTrySecs: Math.round(delayMs / 1000),
        usableForSecs: usable ? Math.round((usable.expiresMs - clock.monotonic()) / 1000) : 0,
      };
      this.#repeated.error('token-refused', error, facts, `token-refused ${error.kind}`);
    }
    this.#failure = { error, retryAtMs: clock.monotonic() + delayMs };
    this.#failures++;
    this.#renewAfter(delayMs);
    return error;
  }

  #renewAfter(delayMs: number): void {
    this.#renewal?.cancel();
    if (this.#closing.signal.aborted) return;
    this.#renewal = this.options.clock.setTimer(delayMs, () => {
      this.#renew().catch(() => {}); // logged and counted where it failed
    });
  }

  #exportAge(): void {
    const token = this.#usable();
    const ageMs = token && this.options.clock.monotonic() - token.requestedMs;
    this.options.metrics.tokenAgeSeconds.set(ageMs === null ? -1 : ageMs / 1000);
  }
}
