import type { Agent as HttpAgent, ClientRequest } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import type { Socket } from 'node:net';
import { TLSSocket } from 'node:tls';
import { got } from 'got';
import { errorCode } from '../util/errors.js';

/** The scaling engine's answers have some 200 bytes, the Cloud Controller's errors in them a few thousand. */
const MAX_ANSWER_BYTES = 64 * 1024;

/** One request on one connection, and how far it came. */
export type Exchange =
  | { readonly outcome: 'answered'; readonly status: number; readonly body: string }
  | {
      readonly outcome: 'broken';
      readonly error: unknown;
      /** The connection was never up. */
      readonly connecting: boolean;
      /** The connection was an old one, and its other side had closed it before it answered a single byte. */
      readonly staleConnection: boolean;
    }
  | { readonly outcome: 'too-large'; readonly status: number }
  /** The body is compressed or the like, which it was not to be. */
  | { readonly outcome: 'encoded'; readonly status: number; readonly encoding: string };

/** Posts JSON once; never rejects. Ends when `abort` does, whatever it waits for. */
export async function postOnce(
  url: URL,
  json: string,
  agent: HttpAgent | HttpsAgent,
  abort: AbortController,
): Promise<Exchange> {
  const progress = new Progress();
  let tooLarge = false;
  const call = got
    .post(url, {
      body: json,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json',
        'accept-encoding': 'identity',
        'user-agent': 'eventgenerator',
      },
      agent: { http: agent, https: agent as HttpsAgent },
      signal: abort.signal,
      retry: { limit: 0 },
      throwHttpErrors: false,
      followRedirect: false,
      decompress: false,
      responseType: 'buffer',
    })
    .on('request', (request) => progress.follow(request))
    .on('downloadProgress', ({ transferred }) => {
      if (transferred <= MAX_ANSWER_BYTES) return;
      tooLarge = true;
      abort.abort();
    });
  try {
    const { statusCode: status, headers, body } = await call;
    const encoding = headers['content-encoding']?.trim().toLowerCase() || 'identity';
    if (encoding !== 'identity' && body.length > 0) return { outcome: 'encoded', status, encoding };
    return { outcome: 'answered', status, body: Buffer.from(body).toString() };
  } catch (error) {
    if (tooLarge) return { outcome: 'too-large', status: progress.status };
    const reset = ['ECONNRESET', 'EPIPE'].includes(errorCode(error));
    return {
      outcome: 'broken',
      error,
      connecting: progress.connecting,
      staleConnection: reset && progress.reused && !progress.answerBegun && !abort.signal.aborted,
    };
  } finally {
    progress.stop();
  }
}

class Progress {
  connecting = false;
  reused = false;
  /** Any byte after the request was handed to the connection. */
  answerBegun = false;
  status = 0;
  #stop = () => {};

  follow(request: ClientRequest): void {
    request.once('response', (response) => (this.status = response.statusCode ?? 0));
    request.once('socket', (socket: Socket) => {
      this.reused = request.reusedSocket;
      this.connecting = !this.reused;
      const up = () => (this.connecting = false);
      const data = () => (this.answerBegun = true);
      const connected = socket instanceof TLSSocket ? 'secureConnect' : 'connect';
      socket.once(connected, up);
      socket.once('data', data);
      this.#stop = () => {
        socket.off(connected, up);
        socket.off('data', data);
      };
    });
  }

  /** Connections outlive requests: what listens on them must not pile up. */
  stop(): void {
    this.#stop();
  }
}
