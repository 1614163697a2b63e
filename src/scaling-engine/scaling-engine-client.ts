import { setMaxListeners } from 'node:events';
import { CancelError, RequestError, TimeoutError, type Response } from 'got';
import { stringify } from 'lossless-json';
import type { Clock } from '../util/clock.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { describeConnectionError } from '../util/connection-error.js';
import { errorText } from '../util/errors.js';
import type { KeyPair } from '../tls/key-pair.js';
import { EngineAgents } from './agents.js';
import { requestEngine } from './engine-request.js';
import { failed, readResponse } from './response.js';
import type { Trigger } from '../evaluation/trigger.js';
import type { TriggerResult } from './trigger-result.js';

export interface ScalingEngineClient {
  /** Posts a trigger; never rejects. */
  post(trigger: Trigger): Promise<TriggerResult>;
  /** Aborts what is under way and resolves when it has ended. Idempotent. */
  close(): Promise<void>;
}

export interface ScalingEngineClientOptions {
  /** Base URL, with or without a path. */
  readonly url: string;
  /** The client certificate; null where the scaling engine asks for none. */
  readonly keyPair: KeyPair | null;
  readonly roots: CaCertificates;
  /** Deadline of one post: connect, headers and body, and a second connection where the first was stale. */
  readonly timeoutMs: number;
  readonly clock: Clock;
}

/** Throws where the URL or the client certificate cannot be used. */
export function createScalingEngineClient(options: ScalingEngineClientOptions): ScalingEngineClient {
  const { keyPair, roots, timeoutMs, clock } = options;
  const base = new URL(options.url);
  const secure = base.protocol === 'https:';
  const engine = `The scaling engine at ${base.origin}`;
  const agents = new EngineAgents({ secure, keyPair, roots });
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // one for each post in flight, whose number the caller bounds
  const inFlight = new Set<Promise<TriggerResult>>();

  async function send(trigger: Trigger): Promise<TriggerResult> {
    const url = scaleUrl(base, trigger.app_id);
    if (!url) {
      return failed('rejected', `The app id ${JSON.stringify(trigger.app_id)} cannot stand in a URL path`);
    }
    const [agent, { signal }] = [agents.current(), closing];
    try {
      const request = { agent, signal, timeoutMs, clock };
      return resultOf(await requestEngine(url, stringify(trigger) ?? '', request), engine);
    } catch (error) {
      if (signal.aborted) {
        return failed('no-connection', `${engine} was not waited for: the eventgenerator is stopping`);
      }
      if (error instanceof RequestError) return failureOf(error, engine, timeoutMs, secure);
      // Whatever it is, it is about this response: it must not keep other apps from being scaled.
      return failed('bad-answer', `${engine} answered what cannot be understood: ${errorText(error)}`);
    }
  }

  return {
    post(trigger) {
      const result = send(trigger).finally(() => inFlight.delete(result));
      inFlight.add(result);
      return result;
    },
    async close() {
      closing.abort();
      agents.close();
      await Promise.all(inFlight);
    },
  };
}

function resultOf({ statusCode, headers, body }: Response<Uint8Array>, engine: string): TriggerResult {
  const encoding = headers['content-encoding']?.trim().toLowerCase() || 'identity';
  if (encoding === 'identity' || body.length === 0) {
    return readResponse(statusCode, Buffer.from(body).toString(), engine);
  }
  const said = `${engine} answered ${statusCode} in the encoding ${JSON.stringify(encoding.slice(0, 40))}`;
  return failed('bad-answer', `${said}, which was not asked for; check what is between here and there`);
}

/** HTTP status of a response that switches to another protocol. */
const switchingProtocols = 101;

function failureOf(error: RequestError, engine: string, timeoutMs: number, secure: boolean): TriggerResult {
  if (error instanceof CancelError) {
    const status = error.response?.statusCode ?? switchingProtocols;
    return status === 200
      ? failed('bad-answer', `${engine} answered 200 with far too large a body; check scaling_engine_url`)
      : readResponse(status, '', engine);
  }
  if (error instanceof TimeoutError) {
    const { connect, secureConnect } = error.timings;
    // Where no connection came up in all that time, no app is to blame.
    return (secure ? secureConnect : connect) === undefined
      ? failed('no-connection', `${engine} could not be connected within ${timeoutMs} ms`)
      : failed('timeout', `${engine} did not answer within ${timeoutMs} ms (http_client_timeout)`);
  }
  const cause = describeConnectionError(error);
  return error.code.startsWith('HPE_')
    ? failed('bad-answer', `${engine} does not speak HTTP: ${cause}; check scaling_engine_url`)
    : failed('no-connection', `${engine} could not be asked: ${cause}`);
}

/** Null for ids that no encoding keeps in their place: empty, `.`, `..` or broken UTF-16. */
function scaleUrl(base: URL, appId: string): URL | null {
  if (appId === '' || appId === '.' || appId === '..') return null;
  const url = new URL(base);
  try {
    url.pathname = `${base.pathname.replace(/\/+$/, '')}/v1/apps/${encodeURIComponent(appId)}/scale`;
  } catch {
    return null;
  }
  return url;
}
