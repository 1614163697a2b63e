import { createSecureContext, type SecureContext } from 'node:tls';
import type { CustomFetch } from 'openid-client';
import { Agent, fetch } from 'undici';
import type { Clock } from '../util/clock.js';
import { errorCode } from '../util/errors.js';
import { lookup } from '../dns/lookup.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { describeConnectionError } from '../util/connection-error.js';
import { trusting } from '../util/trusting.js';
import { TokenError } from './token-error.js';

/** Connect, headers and body of one token request. */
const deadlineMs = 5000;
/** Tokens with hundreds of scopes have some 20 kB; what is larger is not UAA's response. */
const maxResponseBytes = 256 * 1024;

export interface UaaFetchOptions {
  readonly roots: Pick<CaCertificates, 'current'>;
  readonly skipSslValidation: boolean;
  readonly clock: Clock;
  /** Aborts what is under way. */
  readonly signal: AbortSignal;
}

/**
 * A fetch for openid-client that resolves when the response is complete and rejects with a TokenError only, whose
 * message is a clause. Token requests are rare: each has a connection of its own, so none meets a stale one.
 */
export function createUaaFetch({ roots, skipSslValidation, clock, signal }: UaaFetchOptions): CustomFetch {
  const secureContext = secureContextOf(roots);

  return async (url, init) => {
    const dispatcher = new Agent({
      maxResponseSize: maxResponseBytes,
      connect: { secureContext: secureContext(), rejectUnauthorized: !skipSslValidation, lookup },
    });
    const deadline = new AbortController();
    const timer = clock.setTimer(deadlineMs, () => deadline.abort());
    try {
      const response = await fetch(url, {
        ...init,
        body: (init.body as URLSearchParams).toString(),
        headers: { ...init.headers, 'accept-encoding': 'identity' },
        signal: AbortSignal.any([signal, deadline.signal]),
        dispatcher,
      });
      const { status, headers } = response;
      // Decompressed, it would have no bound.
      if (!['', 'identity'].includes(headers.get('content-encoding')?.toLowerCase() ?? '')) {
        throw new TokenError('bad-answer', 'the answer has an encoding that was not asked for');
      }
      const text = withoutIdToken(await response.text());
      return new Response(text || null, { status, headers: [...headers] });
    } catch (error) {
      if (signal.aborted) throw new TokenError('unavailable', 'the eventgenerator is stopping');
      if (deadline.signal.aborted) {
        throw new TokenError('unavailable', `no complete answer within ${deadlineMs} ms`);
      }
      throw fetchError(error);
    } finally {
      timer.cancel();
      void dispatcher.destroy();
    }
  };
}

/**
 * UAA may add an `id_token` for users with the scope `openid`. It is of no use here, and openid-client would reject the
 * whole response because the issuer is not the address that was asked.
 */
function withoutIdToken(json: string): string {
  try {
    return JSON.stringify(
      JSON.parse(json, (key, value: unknown) => (key === 'id_token' ? undefined : value)),
    );
  } catch {
    return json;
  }
}

/** Made anew only when the CA certificates have changed, because parsing hundreds of them takes long. */
function secureContextOf(roots: Pick<CaCertificates, 'current'>): () => SecureContext {
  let ca: readonly string[] | undefined;
  let context: SecureContext;
  return () => {
    if (ca !== roots.current()) {
      ca = roots.current();
      context = createSecureContext(trusting(ca));
    }
    return context;
  };
}

function fetchError(error: unknown): TokenError {
  if (error instanceof TokenError) return error;
  const cause = error instanceof TypeError && error.cause ? error.cause : error;
  return errorCode(cause) === 'UND_ERR_RES_EXCEEDED_MAX_SIZE'
    ? new TokenError('bad-answer', `an answer of more than ${maxResponseBytes} bytes`)
    : new TokenError('unavailable', describeConnectionError(cause));
}
