import { beforeEach, describe, expect, test } from '@jest/globals';
import { noCost } from '../../../src/collection/pool/cost.js';
import type { CollectionResult, ReadJob } from '../../../src/collection/pool/job.js';
import { watchLogCache } from '../../../src/collection/plan/log-cache-health.js';
import type { LogCacheFailureKind } from '../../../src/log-cache/log-cache.js';
import { recordingLogger, type LogLine } from '../../support/recording-logger.js';

const job: ReadJob = {
  kind: 'read',
  appId: 'an-app',
  startNs: 0n,
  endNs: 1n,
  gaugeTypes: ['cpu'],
  presenceSinceNs: 0n,
  settled: null,
};
const served: CollectionResult = {
  kind: 'read',
  outcomes: { cpu: { kind: 'no-data' } },
  containerMetricSeen: false,
  containers: null,
  fromNs: 0n,
  oldestNs: null,
  settled: null,
  cost: noCost(),
};
const failed = (failure: LogCacheFailureKind, message = 'it went wrong'): CollectionResult => ({
  kind: 'failed',
  failure,
  message,
  cost: noCost(),
});
const refused = failed('unauthorized', 'log-cache answered 404');

let lines: LogLine[];
let cause: () => Promise<string | null>;
let watched: ReturnType<typeof watchLogCache>;
let next: CollectionResult;

beforeEach(() => {
  const recording = recordingLogger();
  lines = recording.lines;
  cause = async () => 'the client lacks a scope';
  watched = watchLogCache({ run: async () => next }, { logger: recording.logger, explain: () => cause() });
});

/** Lets the collector come back with these results, and what they cause happen. */
async function come(...results: CollectionResult[]): Promise<void> {
  for (next of results) expect(await watched.collector.run(job)).toBe(next);
  await new Promise((resolve) => setImmediate(resolve));
}

const times = (count: number, result: CollectionResult) => Array.from({ length: count }, () => result);
const events = () => lines.map(({ event }) => event);

describe('refusals', () => {
  test('of the first three jobs are told at once, with their cause, and only once', async () => {
    await come(refused, refused);
    expect([events(), watched.health.isUp()]).toEqual([[], true]);
    await come(refused);
    expect(lines).toEqual([
      {
        level: 'error',
        event: 'log-cache-refuses-every-app',
        message: 'the client lacks a scope',
        data: { refusals: 3 },
      },
    ]);
    expect(watched.health.isUp()).toBe(false);
    await come(...times(100, refused));
    expect(lines).toHaveLength(1);
  });

  test('after log-cache has served are told when ten came in a row', async () => {
    await come(served, ...times(9, refused));
    expect([events(), watched.health.isUp()]).toEqual([[], true]);
    await come(refused);
    expect([events(), watched.health.isUp()]).toEqual([['log-cache-refuses-every-app'], false]);
  });

  test('of some apps between the answers to others are those apps’ own', async () => {
    await come(served);
    for (let i = 0; i < 20; i++) await come(...times(9, refused), served);
    expect([events(), watched.health.isUp()]).toEqual([[], true]);
  });

  test('are taken back with the next answer, and told again when they come back', async () => {
    await come(...times(5, refused), served);
    expect(events()).toEqual(['log-cache-refuses-every-app', 'log-cache-serves-again']);
    expect(watched.health.isUp()).toBe(true);
    await come(...times(10, refused));
    expect(events()).toHaveLength(3);
  });

  test.each([
    ['nobody knows', async () => null],
    ['finding out fails', () => Promise.reject(new Error('UAA is away'))],
  ])('name what may be wrong where %s why', async (_case, explain) => {
    cause = explain;
    await come(...times(3, refused));
    expect(lines[0]?.message).toMatch(/refuses every app \(404\).*logs\.admin or doppler\.firehose/);
  });

  test('that end while their cause is looked for are not told any more', async () => {
    let found: (why: string) => void = () => {};
    cause = () => new Promise((resolve) => (found = resolve));
    await come(...times(3, refused), served);
    found('too late');
    await come(served);
    expect(events()).toEqual(['log-cache-serves-again']);
  });
});

describe('other failures', () => {
  test('in a row are told once, with the last one’s reason', async () => {
    await come(failed('timeout'), failed('timeout'), failed('connection', 'nothing listens there'));
    expect(lines).toEqual([
      {
        level: 'error',
        event: 'log-cache-serves-no-app',
        message: 'log-cache served none of the last 3 jobs: nothing listens there',
        data: { failure: 'connection', failures: 3 },
      },
    ]);
    await come(...times(50, failed('connection')), served);
    expect(events()).toEqual(['log-cache-serves-no-app', 'log-cache-serves-again']);
    expect(lines[1]?.data).toEqual({ failures: 53 });
  });

  test('for want of a token are told by those who ask for it, but log-cache is not up', async () => {
    await come(...times(20, failed('no-token')));
    expect([events(), watched.health.isUp()]).toEqual([[], false]);
  });

  test('are told apart from refusals, and each of them is told', async () => {
    await come(...times(3, failed('connection')), ...times(3, refused));
    expect(events()).toEqual(['log-cache-serves-no-app', 'log-cache-refuses-every-app']);
  });
});

describe('a query for several apps', () => {
  const unauthorized = { kind: 'failed', failure: 'unauthorized', message: '404' } as const;
  const query = (...outcomes: (typeof unauthorized | { kind: 'empty' })[]): CollectionResult => ({
    kind: 'query',
    outcomes: Object.fromEntries(outcomes.map((outcome, i) => [`app ${i}`, outcome])),
    cost: noCost(),
  });

  test('is served if one of them is', async () => {
    await come(...times(20, query(unauthorized, { kind: 'empty' })));
    expect([events(), watched.health.isUp()]).toEqual([[], true]);
  });

  test('is refused if all of them are', async () => {
    await come(...times(3, query(unauthorized, unauthorized)));
    expect(events()).toEqual(['log-cache-refuses-every-app']);
  });
});
