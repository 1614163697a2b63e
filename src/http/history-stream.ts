import { Readable } from 'node:stream';
import type { AppMetric } from '../history/app-metric.js';
import type { HistoryQuery, HistoryReader } from '../history/history-reader.js';
import { createToJson } from './history-json.js';

type Batches = AsyncIterator<readonly AppMetric[]>;
type Batch = IteratorResult<readonly AppMetric[]>;

/**
 * Starts reading and resolves with the response as a JSON array in text. The first batch is read before that, so that
 * a database that does not respond at all is seen while a status can still be sent. Batches are taken as fast as the
 * client reads. A stream that is destroyed releases its source; one that fails later never ends the array. An abort
 * rejects, or destroys the stream, with the signal's reason.
 */
export async function openHistoryStream(
  history: Pick<HistoryReader, 'fromDatabase'>,
  query: HistoryQuery,
  signal: AbortSignal,
): Promise<Readable> {
  const batches = history.fromDatabase(query)[Symbol.asyncIterator]();
  let first: Batch;
  try {
    first = await unlessAborted(batches.next(), signal);
  } catch (error) {
    release(batches);
    throw error;
  }
  const texts = jsonTexts(first, batches);
  const source = {
    [Symbol.asyncIterator]: () => source,
    next: () => texts.next(),
    // Not the generator's: that would wait for a source that hangs, and the client's connection with it.
    return: async () => {
      release(batches);
      return { done: true as const, value: undefined };
    },
  };
  const stream = Readable.from(source, { objectMode: false, encoding: 'utf8' });
  const destroy = () => stream.destroy(signal.reason as Error);
  signal.addEventListener('abort', destroy, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', destroy));
  return stream;
}

async function* jsonTexts(first: Batch, batches: Batches): AsyncGenerator<string, undefined> {
  const toJson = createToJson();
  let separator = '[';
  for (let batch = first; !batch.done; batch = await batches.next()) {
    if (batch.value.length === 0) continue;
    yield separator + batch.value.map(toJson).join(',');
    separator = ',';
  }
  yield separator === '[' ? '[]' : ']';
}

function release(batches: Batches): void {
  batches.return?.().catch(() => {});
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
