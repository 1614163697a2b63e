import { beforeEach, describe, expect, test } from '@jest/globals';
import { ConcurrencyLimit } from '../../../src/collection/plan/concurrency-limit.js';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { CollectionResult, UnauthorizedJob } from '../../../src/collection/pool/job.js';
import { QueryGate } from '../../../src/collection/plan/query-gate.js';
import type { LogCacheFailureKind } from '../../../src/log-cache/log-cache.js';
import { createMetrics } from '../../../src/observability/metrics.js';
import { RepeatedEvents } from '../../../src/observability/repeated-events.js';
import { ManualClock } from '../../support/manual-clock.js';
import { recordingLogger, type LogLine } from '../../support/recording-logger.js';

const second = 1_000;
const deadlineMs = 10 * second;
const places = 4;

let clock: ManualClock;
let lines: LogLine[];
let metrics: ReturnType<typeof createMetrics>;
let gate: QueryGate;
/** Queries that reached log-cache. */
let asked: (readonly string[])[];
/** Whether queries are answered at once, or time out. */
let hangs: boolean;

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  asked = [];
  hangs = true;
  const recording = recordingLogger();
  lines = recording.lines;
  gate = new QueryGate(
    { run },
    {
      clock,
      metrics,
      events: new RepeatedEvents({ clock, metrics, logger: recording.logger }),
      limit: new ConcurrencyLimit(clock, places),
      likelyCause: 'It may be the Cloud Controller.',
    },
  );
});

const failed = (failure: LogCacheFailureKind): CollectionResult => ({
  kind: 'failed',
  failure,
  message: failure,
  cost: { ...noCost(), requests: 1 },
});

async function run(job: UnauthorizedJob): Promise<CollectionResult> {
  const cost = { ...noCost(), requests: 1 };
  if (job.kind !== 'query')
    return {
      kind: 'read',
      outcomes: {},
      containerMetricSeen: true,
      containers: null,
      settled: null,
      fromNs: 0n,
      oldestNs: null,
      cost,
    };
  asked.push(job.appIds);
  if (hangs) {
    await new Promise<void>((resolve) => clock.setTimer(deadlineMs, resolve));
    return failed('timeout');
  }
  return {
    kind: 'query',
    outcomes: Object.fromEntries(job.appIds.map((appId) => [appId, { kind: 'empty' }])),
    cost,
  };
}

const query = (...appIds: string[]) =>
  gate.run({ kind: 'query', metricType: 'throughput', appIds, timeSecs: 1, windowSecs: 40 });
const failureOf = (result: CollectionResult) => (result.kind === 'failed' ? result.failure : result.kind);
const events = () => lines.map(({ event }) => event);
const stateValue = async () => (await metrics.queryBreakerState.get()).values[0]?.value;

/** Three queries that get no answer. */
async function hang(): Promise<void> {
  const all = ['a', 'b', 'c'].map((appId) => query(appId));
  await clock.advance(deadlineMs);
  await Promise.all(all);
}

describe('after three queries in a row without an answer', () => {
  beforeEach(hang);

  test('none is asked, and it is said once, with what may be the cause', async () => {
    expect(failureOf(await query('d'))).toBe('not-asked');
    expect(asked).toHaveLength(3);
    expect(lines).toMatchObject([
      { level: 'error', event: 'queries-hang', message: expect.stringContaining('the Cloud Controller') },
    ]);
    expect([gate.isUp(), await stateValue()]).toEqual([false, 2]);
  });

  test('reads go on', async () => {
    const result = await gate.run({
      kind: 'read',
      appId: 'a',
      startNs: 0n,
      endNs: 1n,
      gaugeTypes: ['cpu'],
      presenceSinceNs: 0n,
      settled: null,
    });
    expect(result.kind).toBe('read');
  });

  test('one at a time, for one app, finds out whether it is over', async () => {
    await clock.advance(2 * second);
    const probing = query('d', 'e');
    expect(asked.at(-1)).toEqual(['d']);
    expect([failureOf(await query('f')), await stateValue()]).toEqual(['not-asked', 1]);
    await clock.advance(deadlineMs);
    expect(failureOf(await probing)).toBe('not-asked');
    // The pause has doubled.
    await clock.advance(2 * second);
    expect(failureOf(await query('f'))).toBe('not-asked');
    await clock.advance(2 * second);
    hangs = false;
    expect(failureOf(await query('d', 'e'))).toBe('query');
    expect(asked.slice(-2)).toEqual([['d'], ['d', 'e']]);
    expect([gate.isUp(), await stateValue()]).toEqual([true, 0]);
    expect(events()).toEqual(['queries-hang', 'queries-answered-again']);
  });

  test('the pause between two probes has a bound', async () => {
    for (let probes = 0; probes < 6; probes++) {
      await clock.advance(10 * second);
      const before = asked.length;
      const probing = query('d');
      expect(asked).toHaveLength(before + 1);
      await clock.advance(deadlineMs);
      await probing;
    }
  });
});

test('an answer between them keeps queries going, also a bad one', async () => {
  for (let cycle = 0; cycle < 3; cycle++) {
    const two = [query('a'), query('b')];
    await clock.advance(deadlineMs);
    await Promise.all(two);
    hangs = false;
    await query('c');
    hangs = true;
  }
  expect([gate.isUp(), events()]).toEqual([true, []]);
});

test('queries that wait for a place are turned away as soon as none is answered', async () => {
  const all = Array.from({ length: places + 3 }, (_, i) => query(`app-${i}`));
  await clock.advance(0);
  expect(asked).toHaveLength(places);
  // The first two that end without an answer make way for others, the third makes way for none.
  await clock.advance(deadlineMs);
  expect(asked).toHaveLength(places + 2);
  expect(failureOf((await all.at(-1)) ?? failed('thread'))).toBe('not-asked');
  await clock.advance(deadlineMs);
  expect((await Promise.all(all)).filter((result) => failureOf(result) === 'timeout')).toHaveLength(
    places + 2,
  );
  expect(clock.pendingTimers).toBe(0);
});
