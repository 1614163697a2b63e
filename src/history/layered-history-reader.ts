import type { AppMetric } from './app-metric.js';
import type { HistoryQuery, HistoryReader } from './history-reader.js';

export interface HistoryLayers {
  /** The result from memory, or null where only the database has all of it. */
  readonly fromMemory: (query: HistoryQuery) => readonly AppMetric[] | null;
  readonly fromDatabase: (query: HistoryQuery) => AsyncIterable<readonly AppMetric[]>;
}

/** Reads from memory where that is complete, else from the database: any member answers for any app. */
export function createLayeredHistoryReader({ fromMemory, fromDatabase }: HistoryLayers): HistoryReader {
  return {
    read(query) {
      const remembered = fromMemory(query);
      return remembered === null ? fromDatabase(query) : inOneBatch(remembered);
    },
  };
}

async function* inOneBatch(appMetrics: readonly AppMetric[]): AsyncGenerator<readonly AppMetric[]> {
  if (appMetrics.length > 0) yield appMetrics;
}
