import { constants, type ServerHttp2Stream } from 'node:http2';
import type { Clock } from '../../src/util/clock.js';
import { waitForFault, type ActiveFault } from './faults.js';
import { suffer } from './suffer.js';

/** log-cache's own bound for what it receives. */
const maxMessageBytes = 50 * 1024 * 1024;
/** Flag (compressed or not) and length stand before every message. */
const prefixBytes = 5;
/** The field number alone fills more than a protobuf reader takes. */
const undecodable = Buffer.alloc(12, 0xff);

/** What grpc-message escapes: whatever is not printable ASCII, and the percent sign. */
const notAsItIs = /[^ -$&-~]/gu;

/** A gRPC status with the HTTP status that log-cache's gateway makes of it, by which the books count both transports. */
export const grpcStatus = {
  ok: { code: 0, http: 200 },
  unknown: { code: 2, http: 500 },
  invalidArgument: { code: 3, http: 400 },
  deadlineExceeded: { code: 4, http: 504 },
  notFound: { code: 5, http: 404 },
  permissionDenied: { code: 7, http: 403 },
  resourceExhausted: { code: 8, http: 429 },
  unimplemented: { code: 12, http: 501 },
  unavailable: { code: 14, http: 503 },
  unauthenticated: { code: 16, http: 401 },
} as const;

export type GrpcStatus = (typeof grpcStatus)[keyof typeof grpcStatus];

/** One unary call and its answer, with the faults that spoil either. HTTP/2 by hand, so that every byte can be spoilt. */
export class GrpcExchange {
  readonly #gone = new AbortController();
  #spoil: ActiveFault | undefined;
  /** Bytes of the answer's message, once there is one. */
  bytes = 0;
  /** HTTP status that a gateway would show; 0 while there is none, and for a connection that was broken instead. */
  status = 0;

  constructor(
    private readonly stream: ServerHttp2Stream,
    /** `/package.Service/Method` */
    readonly path: string,
    private readonly clock: Clock,
  ) {
    stream.once('close', () => this.#gone.abort());
  }

  /** Aborted when nobody waits for the answer any more. */
  get gone(): AbortSignal {
    return this.#gone.signal;
  }

  /** The request's message, or undefined where there is none that could be read; then it has been answered. */
  async message(): Promise<Buffer | undefined> {
    const chunks: Buffer[] = [];
    let length = 0;
    // Read to its end even where it is too long: whoever still sends would not see the refusal.
    for await (const chunk of this.stream as AsyncIterable<Buffer>) {
      length += chunk.length;
      if (length <= maxMessageBytes + prefixBytes) chunks.push(chunk);
    }
    if (length > maxMessageBytes + prefixBytes) {
      this.refuse(
        grpcStatus.resourceExhausted,
        `grpc: received message larger than max (${maxMessageBytes})`,
      );
      return undefined;
    }
    const body = Buffer.concat(chunks);
    if (length < prefixBytes || body.readUInt32BE(1) !== length - prefixBytes) {
      this.refuse(grpcStatus.invalidArgument, 'the body is no message');
      return undefined;
    }
    if (body[0] !== 0) {
      this.refuse(grpcStatus.unimplemented, 'compressed messages are not understood');
      return undefined;
    }
    return body.subarray(prefixBytes);
  }

  /** Lets faults happen that come before the answer. True if nothing remains to be answered. */
  suffer(faults: readonly ActiveFault[]): Promise<boolean> {
    return suffer(faults, {
      clock: this.clock,
      gone: this.gone,
      breakConnection: () => this.stream.session?.destroy(),
      answerStatus: (status, body) =>
        status === 200 ? this.answer(Buffer.from(body)) : this.refuse(statusLike(status), body),
      spoil: (fault) => (this.#spoil = fault),
    });
  }

  /** Ends the call without an answer. */
  breakOff(): void {
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  answer(message: Uint8Array): void {
    if (this.#gone.signal.aborted) return;
    const { stream } = this;
    const spoiled = this.#spoil?.fault.kind;
    const content = spoiled === 'garbage' ? undecodable : message;
    const frame = Buffer.alloc(prefixBytes + content.length);
    frame.writeUInt32BE(content.length, 1);
    frame.set(content, prefixBytes);
    this.status = grpcStatus.ok.http;
    this.bytes = content.length;
    stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true });
    stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
    if (spoiled !== 'cut' && spoiled !== 'stall') {
      stream.end(frame);
      return;
    }
    // Of an empty message, too, something is missing.
    const half = Math.ceil(frame.length / 2);
    stream.write(frame.subarray(0, half), () => {
      if (spoiled === 'cut') stream.session?.destroy();
    });
    const lifted = this.#spoil?.lifted;
    if (spoiled === 'stall' && lifted) {
      void waitForFault(this.clock, null, [lifted, this.#gone.signal]).then(() => {
        if (!this.#gone.signal.aborted) stream.end(frame.subarray(half));
      });
    }
  }

  refuse({ code, http }: GrpcStatus, details: string): void {
    if (this.#gone.signal.aborted) return;
    this.status = http;
    this.stream.respond(
      {
        ':status': 200,
        'content-type': 'application/grpc',
        'grpc-status': String(code),
        'grpc-message': details.replace(notAsItIs, encodeURIComponent),
      },
      { endStream: true },
    );
  }
}

/** For faults that are set as an HTTP status. log-cache itself answers UNKNOWN where its gateway says 500. */
function statusLike(http: number): GrpcStatus {
  const equal = Object.values(grpcStatus).find((status) => status.http === http);
  if (equal) return equal;
  if (http === 502) return grpcStatus.unavailable;
  return http >= 500 ? grpcStatus.unknown : grpcStatus.invalidArgument;
}
