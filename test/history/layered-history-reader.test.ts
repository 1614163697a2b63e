import { expect, test } from '@jest/globals';
import type { AppMetric } from '../../src/history/app-metric.js';
import type { HistoryQuery } from '../../src/history/history-reader.js';
import { createLayeredHistoryReader } from '../../src/history/layered-history-reader.js';

const query: HistoryQuery = { appId: 'app', metricType: 'cpu', startNs: 0n, endNs: 10n, order: 'ASC' };
const point: AppMetric = { appId: 'app', metricType: 'cpu', value: 1n, unit: '%', timestampNs: 1n };

async function readAll(
  fromMemory: AppMetric[] | null,
): Promise<{ rows: AppMetric[]; asked: HistoryQuery[] }> {
  const asked: HistoryQuery[] = [];
  const reader = createLayeredHistoryReader({
    fromMemory: () => fromMemory,
    async *fromDatabase(wanted) {
      asked.push(wanted);
      yield [{ ...point, value: 2n }];
    },
  });
  const rows: AppMetric[] = [];
  for await (const batch of reader.read(query)) rows.push(...batch);
  return { rows, asked };
}

test('what memory has completely costs no query', async () => {
  expect(await readAll([point])).toEqual({ rows: [point], asked: [] });
  expect(await readAll([])).toEqual({ rows: [], asked: [] });
});

test('what memory lacks comes from the database', async () => {
  expect(await readAll(null)).toEqual({ rows: [{ ...point, value: 2n }], asked: [query] });
});
