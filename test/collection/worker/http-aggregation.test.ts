import { expect, test } from '@jest/globals';
import { aggregateVector } from '../../../src/collection/worker/http-aggregation.js';

const sample = (source_id: string, instance_id: string, value: number) => ({
  labels: { source_id, instance_id },
  value,
});

test('an app metric is the mean over the instances in the answer, each rounded up', () => {
  const { outcomes } = aggregateVector('throughput', ['a'], [sample('a', '0', 0.1), sample('a', '1', 1.2)]);
  expect(outcomes.get('a')).toEqual({ kind: 'value', value: 2n, unit: 'rps' });
});

test('rates far above what fits into a page', () => {
  const { outcomes } = aggregateVector('throughput', ['a'], [sample('a', '0', 2_512.3)]);
  expect(outcomes.get('a')).toEqual({ kind: 'value', value: 2_513n, unit: 'rps' });
});

test('each app has its own outcome; one that is not in the answer is empty, not zero', () => {
  const answer = [sample('a', '0', 3), sample('b', '0', 5)];
  expect([...aggregateVector('responsetime', ['b', 'c'], answer).outcomes]).toEqual([
    ['b', { kind: 'value', value: 5n, unit: 'ms' }],
    ['c', { kind: 'empty' }],
  ]);
});

test('a source that was not asked for is left out', () => {
  expect(aggregateVector('throughput', ['a'], [sample('other', '0', 9)]).outcomes.get('a')).toEqual({
    kind: 'empty',
  });
});

test('values that are not finite or beyond int64 are dropped and counted; only such is no data', () => {
  const { outcomes, droppedSamples } = aggregateVector(
    'responsetime',
    ['a', 'b'],
    [sample('a', '0', NaN), sample('a', '1', 2), sample('b', '0', Infinity), sample('b', '1', 1e19)],
  );
  expect(outcomes.get('a')).toEqual({ kind: 'value', value: 2n, unit: 'ms' });
  expect(outcomes.get('b')).toEqual({ kind: 'no-data' });
  expect(droppedSamples).toBe(3);
});

test('a sample without source_id is a bad answer: left out, it could leave a false zero', () => {
  expect(() => aggregateVector('throughput', ['a'], [{ labels: {}, value: 1 }])).toThrow(
    expect.objectContaining({ kind: 'bad-answer' }),
  );
});

test('an instance without a number still counts', () => {
  const { outcomes } = aggregateVector('throughput', ['a'], [{ labels: { source_id: 'a' }, value: 1 }]);
  expect(outcomes.get('a')).toMatchObject({ value: 1n });
});
