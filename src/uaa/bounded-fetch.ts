import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import type { CustomFetch, CustomFetchOptions } from 'openid-client';
import type { Clock } from '../util/clock.js';
import { lookup } from '../dns/lookup.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { describeConnectionError } from '../tls/connection-error.js';

/** Connect, headers and body of one token request. */
const DEADLINE_MS = 5000;
/** Tokens with hundreds of scopes have some 20 kB; what is larger is not UAA's answer. Bytes. */
const MAX_ANSWER_BYTES = 256 * 1024;

/** Why there was no complete answer. The message is a clause without any secret. */
export class FetchError extends Error {
  override readonly name = 'FetchError';

  constructor(
    readonly kind: 'connection' | 'timeout' | 'too-large' | 'closed',
    message: string,
  ) {
    super(message);
  }
}

export interface BoundedFetchOptions {
  readonly roots: Pick<CaCertificates, 'current'>;
  readonly skipSslValidation: boolean;
  readonly clock: Clock;
  /** Aborts what is under way. */
  readonly signal: AbortSignal;
}

/**
 * A fetch for openid-client with our own trust, a deadline that covers everything, and a bounded answer. Rejects with
 * a FetchError only. Token requests are rare: every one has a connection of its own, so none meets a stale one.
 */
export function createBoundedFetch(options: BoundedFetchOptions): CustomFetch {
  const httpsAgent = httpsAgentOf(options);
  const httpAgent = new HttpAgent({ lookup });

  return async (url, init) => {
    const controller = new AbortController();
    const deadline = options.clock.setTimer(DEADLINE_MS, () =>
      controller.abort(new FetchError('timeout', `no complete answer within ${DEADLINE_MS} ms`)),
    );
    const close = () => controller.abort(new FetchError('closed', 'the eventgenerator is stopping'));
    options.signal.addEventListener('abort', close, { once: true });
    if (options.signal.aborted) close();
    try {
      const agent = new URL(url).protocol === 'http:' ? httpAgent : httpsAgent();
      return await exchange(url, init, agent, controller.signal);
    } catch (error) {
      if (controller.signal.aborted) throw controller.signal.reason;
      throw error instanceof FetchError
        ? error
        : new FetchError('connection', describeConnectionError(error));
    } finally {
      deadline.cancel();
      options.signal.removeEventListener('abort', close);
    }
  };
}

/** The agent that trusts the authorities of now: made anew only when they have changed, as parsing them takes long. */
function httpsAgentOf({ roots, skipSslValidation }: BoundedFetchOptions): () => HttpsAgent {
  let known: { readonly ca: readonly string[]; readonly agent: HttpsAgent } | undefined;
  return () => {
    const ca = roots.current();
    if (known?.ca !== ca) {
      const secureContext = createSecureContext({ ca: [...ca] });
      known = {
        ca,
        agent: new HttpsAgent({ lookup, secureContext, rejectUnauthorized: !skipSslValidation }),
      };
    }
    return known.agent;
  };
}

async function exchange(
  url: string,
  { method, headers, body }: CustomFetchOptions,
  agent: HttpAgent | HttpsAgent,
  signal: AbortSignal,
): Promise<Response> {
  const form = body instanceof URLSearchParams ? body.toString() : '';
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const options: RequestOptions = { method, headers, agent, signal };
    const send = agent instanceof HttpsAgent ? httpsRequest : httpRequest;
    const request = send(url, options, resolve);
    request.on('error', reject); // also after the answer began, when the body's reader rejects as well
    request.end(form);
  });
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES) {
      throw new FetchError('too-large', `an answer of more than ${MAX_ANSWER_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  return toResponse(answer, Buffer.concat(chunks));
}

function toResponse(answer: IncomingMessage, body: Buffer): Response {
  const status = answer.statusCode ?? 0;
  if (status < 200 || status > 599)
    throw new FetchError('connection', `an answer with HTTP status ${status}`);
  const bodyless = status === 204 || status === 205 || status === 304;
  const headers = new Headers();
  for (const name of ['content-type', 'www-authenticate', 'retry-after', 'location']) {
    const value = answer.headers[name];
    if (typeof value === 'string') headers.set(name, value);
  }
  return new Response(bodyless ? null : new Uint8Array(body), { status, headers });
}
