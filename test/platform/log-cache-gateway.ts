import type { Books, ServedKind } from './books.js';
import type { Answer, Exchange } from './exchange.js';
import type { ActiveFault } from './faults.js';

/* What log-cache's gateway says, and the auth proxy where there is no gateway. */

export interface Counted extends Answer {
  /** Envelopes, samples, series or sources in the answer. */
  readonly items?: number;
}

/** The auth proxy's one answer for everyone it refuses. */
export const notFound: Answer = { status: 404 };
/** The proxy's answer where the gateway does not listen. */
export const noGateway: Answer = { status: 502 };
export const unavailable =
  'connection error: desc = "transport: Error while dialing: dial tcp 127.0.0.1:8080: connect: connection refused"';
export const gatewayHeaders = {
  'content-type': 'application/json',
  'grpc-metadata-content-type': 'application/grpc',
};

/** Answers, unless a fault does it instead, and enters that into the books. */
export async function serveUnder(
  faults: readonly ActiveFault[],
  kind: ServedKind,
  exchange: Exchange,
  books: Pick<Books, 'served'>,
  answerOf: () => Counted | Promise<Counted>,
): Promise<void> {
  let items = 0;
  if (!(await exchange.suffer(faults))) {
    const answer = await answerOf();
    items = answer.items ?? 0;
    exchange.answer(answer);
  }
  books.served(kind, exchange, items);
}
