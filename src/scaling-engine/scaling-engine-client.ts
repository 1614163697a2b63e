import { stringify } from 'lossless-json';
import type { Clock } from '../util/clock.js';
import type { CaCertificates } from '../tls/ca-certificates.js';
import { describeConnectionError } from '../tls/connection-error.js';
import { errorCode, errorText } from '../util/errors.js';
import type { KeyPair } from '../tls/key-pair.js';
import { failed, readResponse } from './response.js';
import { Connections, type Agents } from './connections.js';
import { postOnce, type Exchange } from './exchange.js';
import type { Trigger } from '../evaluation/trigger.js';
import type { TriggerResult } from './trigger-result.js';

export interface ScalingEngineClient {
  /** Posts a trigger; never rejects. */
  post(trigger: Trigger): Promise<TriggerResult>;
  /** Aborts what is under way and resolves when it has settled. Idempotent. */
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
  const base = new URL(options.url);
  const engine = `The scaling engine at ${base.origin}`;
  const connections = new Connections({
    secure: base.protocol === 'https:',
    keyPair: options.keyPair,
    roots: options.roots,
  });
  const inFlight = new Map<AbortController, Promise<TriggerResult>>();
  let closed = false;

  async function send(trigger: Trigger, abort: AbortController): Promise<TriggerResult> {
    const url = scaleUrl(base, trigger.app_id);
    if (!url) {
      return failed('rejected', `The app id ${JSON.stringify(trigger.app_id)} cannot stand in a URL path`);
    }
    const json = stringify(trigger) ?? '';
    let late = false;
    const deadline = options.clock.setTimer(options.timeoutMs, () => {
      late = true;
      abort.abort();
    });
    try {
      const exchange = await connections.use((agents) => postOnAnyConnection(url, json, agents, abort));
      return resultOf(exchange, late);
    } catch (error) {
      // Whatever it is, it is about this answer: it must not keep other apps from being scaled.
      return failed('bad-answer', `${engine} answered what cannot be understood: ${errorText(error)}`);
    } finally {
      deadline.cancel();
    }
  }

  function resultOf(exchange: Exchange, late: boolean): TriggerResult {
    if (exchange.outcome === 'answered') return readResponse(exchange.status, exchange.body, engine);
    if (exchange.outcome === 'too-large') {
      return exchange.status === 200
        ? failed('bad-answer', `${engine} answered 200 with far too large a body; check scaling_engine_url`)
        : readResponse(exchange.status, '', engine);
    }
    if (exchange.outcome === 'encoded') {
      const encoding = JSON.stringify(exchange.encoding.slice(0, 40));
      const said = `${engine} answered ${exchange.status} in the encoding ${encoding}, which was not asked for`;
      return failed('bad-answer', `${said}; check what is between here and there`);
    }
    if (closed) {
      return failed('no-connection', `${engine} was not waited for: the eventgenerator is stopping`);
    }
    if (late) {
      // Where no connection came up in all that time, nobody's app is to blame.
      return exchange.connecting
        ? failed('no-connection', `${engine} could not be connected within ${options.timeoutMs} ms`)
        : failed('timeout', `${engine} did not answer within ${options.timeoutMs} ms (http_client_timeout)`);
    }
    const cause = describeConnectionError(exchange.error);
    return errorCode(exchange.error).startsWith('HPE_')
      ? failed('bad-answer', `${engine} does not speak HTTP: ${cause}; check scaling_engine_url`)
      : failed('no-connection', `${engine} could not be asked: ${cause}`);
  }

  return {
    post(trigger) {
      const abort = new AbortController();
      if (closed) abort.abort();
      const result = send(trigger, abort).finally(() => inFlight.delete(abort));
      inFlight.set(abort, result);
      return result;
    },
    async close() {
      closed = true;
      connections.close();
      for (const abort of inFlight.keys()) abort.abort();
      await Promise.all(inFlight.values());
    },
  };
}

/**
 * A router that closes an idle connection at the moment of a request has not seen it: sent again, once. Should the
 * request have been processed after all, a second one is harmless, because the engine refuses it during the cool-down
 * that the first one began; a lost one would cost a whole evaluation interval.
 */
async function postOnAnyConnection(
  url: URL,
  json: string,
  agents: Agents,
  abort: AbortController,
): Promise<Exchange> {
  const first = await postOnce(url, json, agents.keepAlive, abort);
  const stale = first.outcome === 'broken' && first.staleConnection;
  return stale ? postOnce(url, json, agents.oneShot, abort) : first;
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
