import { expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { Apps } from './apps.js';
import { constantLoad } from './load-script.js';
import { LogCacheStore } from './log-cache-store.js';
import { QueryCost, SourceTooSlow } from './promql/cost.js';
import { instantQueryOf } from './promql/query.js';
import { PromqlEngineError } from './promql/series.js';

const second = 1_000;

/** What a query of the last 40 s costs whom, with three apps of 500 instances and 50 requests a second. */
function queried(sources: string, usPerEnvelope: number) {
  const clock = new ManualClock(1_700_000_000_000);
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 1, retentionUs: 7200e6 }, clock);
  for (const guid of ['one', 'two', 'three']) {
    apps.add({ guid, instances: 500, load: constantLoad({ requestsPerSecond: 50, cpuPercent: 1 }) });
  }
  const store = new LogCacheStore(apps, clock, { retentionMs: 7_200_000, ingestLagMs: 0 });
  const cost = new QueryCost(store, apps, clock, usPerEnvelope);
  const query = `count_over_time(http{source_id=~"${sources}",peer_type="Client"}[40s])`;
  const parsed = instantQueryOf(query, '1700000000', clock.now());
  const paid = cost.paid(parsed, new AbortController().signal);
  const outcome = paid.then(
    () => 'answered',
    (error: unknown) => error,
  );
  return { clock, outcome };
}

test('a query takes time by all gauges, counters and timers of its sources', async () => {
  const { clock, outcome } = queried('one', 25);
  // 500 instances have 13 container metrics every 15 s, and 4,000 timers in 40 s, of either peer.
  await clock.timersPending();
  const expectedMs = (500 * 13 * (40 / 15) + 4_000) * 0.025;
  expect(Math.abs((clock.nextTimerInMs ?? 0) - expectedMs)).toBeLessThan(0.1 * expectedMs);
  await clock.advance(second);
  expect(await outcome).toBe('answered');
});

test('a source that takes longer than 5 s ends the query then', async () => {
  const { clock, outcome } = queried('one|two', 1_000);
  await clock.timersPending();
  expect(clock.nextTimerInMs).toBe(5 * second);
  await clock.advance(5 * second);
  expect(await outcome).toBeInstanceOf(SourceTooSlow);
});

test('sources that take longer than 10 s together end the query when all are read', async () => {
  const { clock, outcome } = queried('one|two|three', 200);
  await clock.timersPending();
  expect(clock.nextTimerInMs).toBeGreaterThan(10 * second);
  await clock.advance(15 * second);
  expect(await outcome).toBeInstanceOf(PromqlEngineError);
});
