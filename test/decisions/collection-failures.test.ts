import { beforeEach, expect, test } from '@jest/globals';
import type { MetricOutcome } from '../../src/collection/pool/job.js';
import { CollectionFailures } from '../../src/decisions/collection-failures.js';

let nowMs: number;
let failures: CollectionFailures;
beforeEach(() => {
  nowMs = 1_000;
  failures = new CollectionFailures(() => nowMs);
});

const noData: MetricOutcome = { kind: 'no-data' };
const failed = (failure: 'timeout' | 'connection', message = 'no answer'): MetricOutcome => ({
  kind: 'failed',
  failure,
  message,
});
const collected = (appId: string, outcomes: Record<string, MetricOutcome>) =>
  failures.collected(appId, new Map(Object.entries(outcomes)));

test('a failure is told from the second in a row on, with its beginning', () => {
  expect(collected('app', { cpu: noData })).toBe(false);
  expect(collected('app', { cpu: failed('timeout') })).toBe(true);
  expect(failures.of('app')).toEqual([]);
  nowMs += 40_000;
  expect(collected('app', { cpu: failed('timeout'), jobs: noData })).toBe(true);
  expect(failures.of('app')).toEqual([
    { metricType: 'cpu', failure: 'timeout', message: 'no answer', sinceMs: 1_000 },
  ]);
  expect(collected('app', { cpu: failed('timeout', 'again') })).toBe(false);
  expect(failures.of('app')[0]?.message).toBe('no answer');
});

test('another kind of failure is news, and goes on with the time of the first', () => {
  collected('app', { cpu: failed('timeout') });
  nowMs += 40_000;
  expect(collected('app', { cpu: failed('connection', 'refused\0') })).toBe(true);
  expect(failures.of('app')).toEqual([
    { metricType: 'cpu', failure: 'connection', message: 'refused', sinceMs: 1_000 },
  ]);
});

test('what is collected again is news once, and another metric type fails on', () => {
  for (let i = 0; i < 2; i++) collected('app', { cpu: failed('timeout'), jobs: failed('timeout') });
  expect(collected('app', { cpu: noData, jobs: failed('timeout') })).toBe(true);
  expect(collected('app', { cpu: noData, jobs: failed('timeout') })).toBe(false);
  expect(failures.of('app').map(({ metricType }) => metricType)).toEqual(['jobs']);
});

test('rows quote what log-cache said, for up to a thousand apps that fail', () => {
  for (let i = 0; i < 1_000; i++) collected(`app-${i}`, { cpu: failed('timeout') });
  collected('app-0', { cpu: failed('timeout') });
  expect(failures.forRow('app-0')[0]?.message).toBe('no answer');
  collected('one more', { cpu: failed('timeout') });
  expect(failures.forRow('app-0')[0]?.message).toBe('');
  expect(failures.of('app-0')[0]?.message).toBe('no answer');
  failures.forget('one more');
  expect(failures.forRow('app-0')[0]?.message).toBe('no answer');
  collected('one more', { cpu: failed('timeout') });
  collected('one more', { cpu: noData });
  expect(failures.forRow('app-0')[0]?.message).toBe('no answer');
});
