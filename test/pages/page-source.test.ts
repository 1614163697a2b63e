import { expect, test } from '@jest/globals';
import type { DecisionsReader } from '../../src/decisions/open-decisions.js';
import { explain } from '../../src/explanation/explain.js';
import type { ChartQuery } from '../../src/history/chart-points.js';
import { createPageSource, type PageSourceOptions } from '../../src/pages/page-source.js';
import { msToNs } from '../../src/util/clock.js';
import { outRule, settings, steady } from '../evaluation/examples.js';
import { atMs, factsOf } from '../explanation/examples.js';

const away = () => Promise.reject(new Error('appmetrics_db is away'));
const rules = [outRule, outRule, { ...outRule, metricType: 'jobs' }];
const decisions: DecisionsReader = {
  explain: (appId) => Promise.resolve(explain(factsOf(rules, { cpu: steady(90n) }, { appId }), settings)),
  changes: () =>
    Promise.resolve([{ appId: 'app', atMs, from: null, to: 'fired', rule: 1, value: '90', text: '+1' }]),
  list: ({ code, limit }) =>
    Promise.resolve(
      Array.from({ length: code === 'at-max' ? limit : 1 }, (_, i) => ({
        ...{ appId: `app ${i}`, code, sinceMs: atMs, untilMs: null, instanceIndex: 0, detail: 'why' },
      })),
    ),
  count: () => Promise.resolve(new Map([['fired', 1] as const, ['at-max', 7] as const])),
};

function start(changes: Partial<PageSourceOptions> = {}) {
  const asked: ChartQuery[] = [];
  const source = createPageSource({
    clock: { now: () => atMs },
    isObserver: false,
    decisions,
    readChartPoints: async (query) => {
      asked.push(query);
      return new Map(query.metricTypes.map((metricType) => [metricType, [{ atMs, value: 3 }]]));
    },
    readMembers: null,
    breakers: () => [],
    collectionIntervalMs: 40_000,
    ...changes,
  });
  return { source, asked };
}

test('an app is shown with two days of each of its metric types', async () => {
  const { source, asked } = start();
  const { points, changes, fromMs } = await source.app('app');
  const window = { startNs: msToNs(fromMs), endNs: msToNs(atMs) };
  expect(asked).toEqual([{ appId: 'app', metricTypes: ['cpu', 'jobs'], ...window }]);
  expect(atMs - fromMs).toBe(2 * 86_400_000);
  expect([...points.keys()]).toEqual(['cpu', 'jobs']);
  expect(changes).toMatchObject([{ to: 'fired', text: '+1' }]);
});

test('without the tables of decisions an app is shown without changes, and apps without counts', async () => {
  const { source } = start({ decisions: { ...decisions, changes: away, count: away }, readMembers: away });
  expect((await source.app('app')).changes).toEqual([]);
  expect(await source.apps(null, '')).toMatchObject({ counts: null, selected: null, members: null });
  await expect(start({ decisions: { ...decisions, list: away } }).source.apps('fired', '')).rejects.toThrow(
    'away',
  );
});

test('apps are counted, most first; a full page has a next one', async () => {
  const { source } = start();
  const { counts, selected, members } = await source.apps('at-max', '');
  expect(counts?.map(({ reason }) => reason)).toEqual(['at-max', 'fired']);
  expect([selected?.apps.length, selected?.nextCursor, members]).toEqual([100, 'app 99', 'static']);
  expect((await source.apps('fired', '')).selected?.nextCursor).toBeNull();
});

test('a database that is away altogether fails the page and nothing else', async () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown) => void unhandled.push(reason);
  process.on('unhandledRejection', note);
  const { source } = start({
    decisions: { ...decisions, changes: away },
    readChartPoints: away,
  });
  await expect(source.app('app')).rejects.toThrow('away');
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(unhandled).toEqual([]);
});
