import type { AppMetric } from './app-metric.js';

export interface HistoryQuery {
  readonly appId: string;
  readonly metricType: string;
  /** ns since the epoch, both inclusive. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly order: 'ASC' | 'DESC';
}

/** Answers history queries for any app, owned or not. */
export interface HistoryReader {
  /** Batches in the order asked for; rejects when the database does not answer, also in the middle. */
  read(query: HistoryQuery): AsyncIterable<readonly AppMetric[]>;
}
