import type { AppMetric } from './app-metric.js';

export interface HistoryQuery {
  readonly appId: string;
  readonly metricType: string;
  /** ns since the epoch, both inclusive. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly order: 'ASC' | 'DESC';
}

/** Answers history queries for any app, owned or not. Both give app metrics in the order asked for. */
export interface HistoryReader {
  /** The whole result, or null where only the database has all of it. */
  fromMemory(query: HistoryQuery): readonly AppMetric[] | null;
  /** In batches; rejects when the database does not answer, also in the middle. */
  fromDatabase(query: HistoryQuery): AsyncIterable<readonly AppMetric[]>;
}
