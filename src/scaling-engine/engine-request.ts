import type { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import { got, type RequestError } from 'got';
import type { Clock } from '../util/clock.js';
import { closeIdleConnections, type EngineAgent } from './agents.js';

/** The scaling engine's responses have some 200 bytes, the Cloud Controller's errors in them a few thousand. */
const maxResponseBytes = 64 * 1024;

const postJson = got.extend({
  method: 'POST',
  headers: {
    'content-type': 'application/json',
    accept: 'application/json',
    'accept-encoding': 'identity',
    'user-agent': 'eventgenerator',
  },
  throwHttpErrors: false,
  followRedirect: false,
  decompress: false,
});

interface EngineRequestOptions {
  readonly agent: EngineAgent;
  readonly signal: AbortSignal;
  /** Deadline of connect, headers and body, and of a second connection where the first was stale. */
  readonly timeoutMs: number;
  /** Says how much of the deadline is left for that second connection. got's own timers keep the deadline. */
  readonly clock: Pick<Clock, 'monotonic'>;
}

/**
 * Posts JSON, and once more where a router closed the idle connection at the moment of the request, which it has not
 * seen then. Should it have been processed after all, a second one is harmless, because the engine ignores it during the
 * cool-down that the first one began; a lost one would cost a whole evaluation interval.
 *
 * Rejects with a RequestError. It is a CancelError if the response is too large, and a CancelError without a response if the
 * engine switches to another protocol.
 */
export function requestEngine(url: URL, body: string, options: EngineRequestOptions) {
  const { agent, signal, timeoutMs, clock } = options;
  const deadlineMs = clock.monotonic() + timeoutMs;
  const leftMs = () => Math.ceil(deadlineMs - clock.monotonic());
  let socket: Socket | undefined;
  let bytesBefore = 0;
  const isStale = ({ code, request }: RequestError) =>
    ['ECONNRESET', 'EPIPE'].includes(code) && request?.reusedSocket && socket?.bytesRead === bytesBefore;

  const call = postJson(url, {
    body,
    responseType: 'buffer',
    agent: { http: agent, https: agent as HttpsAgent },
    signal,
    timeout: { request: timeoutMs },
    retry: {
      calculateDelay: ({ attemptCount, error }) =>
        attemptCount === 1 && isStale(error) && leftMs() > 0 ? 1 : 0,
    },
    hooks: {
      beforeRetry: [
        ({ options }) => {
          closeIdleConnections(agent); // they are as old
          options.timeout = { request: Math.max(1, leftMs()) };
        },
      ],
    },
  });
  void call.on('request', (request) => {
    request.once('socket', (used: Socket) => {
      socket = used;
      bytesBefore = used.bytesRead;
    });
    // got never hears of such a response, and its timers have ended with the request.
    request.once('upgrade', (_response, used: Socket) => {
      used.destroy();
      call.cancel();
    });
  });
  void call.on('downloadProgress', ({ transferred }) => {
    if (transferred > maxResponseBytes) call.cancel();
  });
  return call;
}
