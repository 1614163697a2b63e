import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { CollectionResult, HttpMetricType } from '../../../src/collection/pool/job.js';
import { runJob } from '../../../src/collection/worker/run-job.js';
import type { LogCache } from '../../../src/log-cache/log-cache.js';
import { Apps } from '../../platform/apps.js';
import { type StoredEnvelope, nanoseconds } from '../../platform/envelope.js';
import { constantLoad } from '../../platform/load-script.js';
import { LogCacheStore } from '../../platform/log-cache-store.js';
import { ManualClock } from '../../support/manual-clock.js';

const timeSecs = 1_700_000_000;
const windowSecs = 40;
const untilUs = timeSecs * 1e6;

function platformOf(app: { instances: number; requestsPerSecond: number } | null) {
  const clock = new ManualClock(timeSecs * 1000 + 400);
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 1, retentionUs: 7200e6 }, clock);
  if (app) {
    const { instances, requestsPerSecond } = app;
    apps.add({ guid: 'a', instances, load: constantLoad({ requestsPerSecond, cpuPercent: 1 }) });
  }
  return new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 0 });
}

/** log-cache's store without a transport in between. */
function logCacheOn(store: LogCacheStore): LogCache {
  const refused = () => Promise.reject(new Error('not asked for'));
  return {
    read: refused,
    oldest: refused,
    async readTimers(request, take) {
      const types = ['TIMER'] as const;
      const page = store.read({ ...request, types, descending: true, nameFilter: '^(http)$' });
      return take({ envelopes: page.map(timer), bytes: 0 });
    },
    async instantQuery({ query, timeSecs: time }, take) {
      const { result } = store.instantQuery(query, String(time));
      return take({ samples: result.type === 'vector' ? result.samples : [], bytes: 0 });
    },
  };
}

function timer({ timestampUs, sourceId, instanceId, tags, body }: StoredEnvelope) {
  if (body.type !== 'TIMER') throw new Error('not asked for');
  const durationNs = (body.stopUs - body.startUs) * 1000;
  return { timestamp: nanoseconds(timestampUs), sourceId, instanceId, tags, durationNs };
}

const window = { timeSecs, windowSecs, authorization: null };
const readTimers = (store: LogCacheStore) =>
  runJob({ kind: 'timers', appId: 'a', ...window }, logCacheOn(store), new ManualClock());

async function asQueried(store: LogCacheStore, metricType: HttpMetricType) {
  const job = { kind: 'query', metricType, appIds: ['a'], ...window } as const;
  const result = await runJob(job, logCacheOn(store), new ManualClock());
  return result.kind === 'query' ? result.outcomes['a'] : result;
}

async function expectWhatQueriesSay(store: LogCacheStore, result: CollectionResult): Promise<void> {
  expect(result).toMatchObject({
    kind: 'timers',
    outcomes: {
      throughput: await asQueried(store, 'throughput'),
      responsetime: await asQueried(store, 'responsetime'),
    },
  });
}

const few = (...texts: string[]) => fc.constantFrom(...texts);
/** Few enough for one page of PromQL's own, which loses what ties at its end. */
const timers = fc.array(
  fc.record({
    agoUs: fc.integer({ min: -100_000, max: 41_000_000 }),
    durationUs: fc.integer({ min: 0, max: 30_000_000 }),
    instanceId: few('0', '1', '2', ''),
    name: few('http', 'http', 'http', 'https', 'xhttp'),
    // Some requests share all labels, and are one series.
    tags: fc.record(
      {
        peer_type: few('Client', 'Client', 'Server'),
        request_id: few('r', 's', 't'),
        instance_id: few('7', '0'),
      },
      { requiredKeys: [] },
    ),
  }),
  { maxLength: 60 },
);

test('timers come to what PromQL makes of the same envelopes', async () => {
  await fc.assert(
    fc.asyncProperty(timers, async (all) => {
      const store = platformOf(null);
      for (const { agoUs, durationUs, instanceId, name, tags } of all) {
        const timestampUs = untilUs - agoUs;
        const body = { type: 'TIMER', name, startUs: timestampUs - durationUs, stopUs: timestampUs } as const;
        store.inject({ timestampUs, sourceId: 'a', instanceId, tags, body });
      }
      await expectWhatQueriesSay(store, await readTimers(store));
    }),
  );
});

test('several pages of timers come to what PromQL makes of them', async () => {
  const store = platformOf({ instances: 7, requestsPerSecond: 50 });
  const result = await readTimers(store);
  expect(result.cost.pages).toBeGreaterThan(3);
  await expectWhatQueriesSay(store, result);
});

test('an app without requests is empty, which is not yet a zero', async () => {
  expect(await readTimers(platformOf(null))).toMatchObject({
    kind: 'timers',
    outcomes: { throughput: { kind: 'empty' }, responsetime: { kind: 'empty' } },
  });
});

test('of more than 20,000 timers no more are read: the query is cheaper', async () => {
  const { cost, ...result } = await readTimers(platformOf({ instances: 2, requestsPerSecond: 300 }));
  expect(result).toEqual({ kind: 'timers', outcomes: null });
  expect(cost.envelopes).toBeGreaterThan(20_000);
  expect(cost.pages).toBe(21);
});
