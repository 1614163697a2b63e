import { Readable } from 'node:stream';
import type { AppMetric } from '../history/app-metric.js';
import type { HistoryQuery, HistoryReader } from '../history/history-reader.js';

type Batches = AsyncIterator<readonly AppMetric[]>;

/**
 * Starts reading and resolves with the answer as a JSON array in text. The first batch is read before that, so that
 * a database which does not answer at all is seen while a status can still be sent. Batches are taken as fast as the
 * client reads; a stream that is destroyed releases its source, and one that fails later never ends the array.
 * An abort rejects, or destroys the stream, with the signal's reason.
 */
export async function openHistoryStream(
  history: HistoryReader,
  query: HistoryQuery,
  signal: AbortSignal,
): Promise<Readable> {
  const batches = history.read(query)[Symbol.asyncIterator]();
  let first: IteratorResult<readonly AppMetric[]>;
  try {
    first = await unlessAborted(batches.next(), signal);
  } catch (error) {
    release(batches);
    throw error;
  }
  const stream = new HistoryStream(batches, first);
  const destroy = () => stream.destroy(asError(signal.reason));
  signal.addEventListener('abort', destroy, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', destroy));
  return stream;
}

class HistoryStream extends Readable {
  readonly #toJson = createToJson();
  #separator = '[';
  #exhausted = false;

  constructor(
    private readonly batches: Batches,
    private first: IteratorResult<readonly AppMetric[]> | null,
  ) {
    super({ encoding: 'utf8' });
  }

  override _read(): void {
    this.#nextText().then(
      (text) => {
        if (this.destroyed) return;
        this.push(text);
        if (this.#exhausted) this.push(null);
      },
      (error: unknown) => this.destroy(asError(error)),
    );
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    if (!this.#exhausted) release(this.batches);
    done(error);
  }

  async #nextText(): Promise<string> {
    for (;;) {
      const next = this.first ?? (await this.batches.next());
      this.first = null;
      if (next.done) {
        this.#exhausted = true;
        return this.#separator === '[' ? '[]' : ']';
      }
      if (next.value.length === 0) continue;
      const text = this.#separator + next.value.map(this.#toJson).join(',');
      this.#separator = ',';
      return text;
    }
  }
}

/**
 * By hand, because the timestamp must stay an exact integer beyond 2^53. Names and unit are those of the app metric
 * before, but for rare changes of a unit, so their JSON is kept.
 */
function createToJson(): (appMetric: AppMetric) => string {
  let appId: string | undefined;
  let metricType: string | undefined;
  let unit: string | undefined;
  let names = '';
  let unitAndKey = '';
  return (appMetric) => {
    if (appMetric.appId !== appId || appMetric.metricType !== metricType) {
      ({ appId, metricType } = appMetric);
      names = `{"app_id":${JSON.stringify(appId)},"name":${JSON.stringify(metricType)},"value":"`;
    }
    if (appMetric.unit !== unit) {
      unit = appMetric.unit;
      unitAndKey = `","unit":${JSON.stringify(unit)},"timestamp":`;
    }
    return `${names}${appMetric.value ?? ''}${unitAndKey}${appMetric.timestampNs}}`;
  };
}

/** Not awaited: a source that hangs must not keep the client's connection. */
function release(batches: Batches): void {
  batches.return?.().then(
    () => {},
    () => {},
  );
}

function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(asError(signal.reason));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error(String(reason));
}
