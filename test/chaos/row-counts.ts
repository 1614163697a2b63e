import { parseScrape } from '../bench/processes/prometheus-text.js';

/** What one process says about app metrics. */
export interface RowCounts {
  /** App metrics collected, with a value or *no data*: each is to become a row. */
  readonly collected: number;
  /** Of these, not yet written. */
  readonly buffered: number;
  /** Given up, and said so. */
  readonly lost: number;
  /** Timers of the main thread. */
  readonly timers: number;
  /** Everything else that the main thread waits for. */
  readonly resources: number;
}

export const noCounts: RowCounts = { collected: 0, buffered: 0, lost: 0, timers: 0, resources: 0 };

const prefix = 'autoscaler_eventgenerator_';

/** Undefined where the health server does not answer. */
export async function countsIn(healthPort: number, timeoutMs: number): Promise<RowCounts | undefined> {
  try {
    const response = await fetch(`http://127.0.0.1:${healthPort}/health`, {
      headers: { connection: 'close' },
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (!response.ok) return undefined;
    const scrape = parseScrape(await response.text());
    const collections = `${prefix}collections_total`;
    const timers = scrape.sum('nodejs_active_resources', 'type="Timeout"');
    return {
      collected: scrape.sum(collections, 'result="value"') + scrape.sum(collections, 'result="no_data"'),
      buffered: scrape.sum(`${prefix}app_metric_writer_buffered_rows`),
      lost: scrape.sum(`${prefix}app_metric_rows_lost_total`),
      timers,
      resources: scrape.sum('nodejs_active_resources_total') - timers,
    };
  } catch {
    return undefined;
  }
}
