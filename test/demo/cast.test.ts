import { expect, test } from '@jest/globals';
import { beginningAt, castOf } from './cast.js';

const load = (requestsPerSecond: number) => ({ requestsPerSecond, cpuPercent: 0, memoryMiB: 0 });

test('six apps, each with rules on one metric type', () => {
  const cast = castOf(5);
  expect(cast.map(({ actor }) => actor.name).sort()).toEqual(
    ['at-maximum', 'decay', 'idle', 'no-data', 'spike', 'steady'].sort(),
  );
  for (const { actor, policy, app } of cast) {
    expect(policy.scaling_rules.map((rule) => rule.metric_type)).toEqual([
      actor.metricType,
      actor.metricType,
    ]);
    expect(policy.scaling_rules.every((rule) => rule.breach_duration_secs === 5)).toBe(true);
    expect(actor.lower).toBeLessThan(actor.upper);
    expect(app.guid).toBe(actor.guid);
  }
});

test('every run has the same apps', () => {
  expect(castOf(5).map(({ actor }) => actor)).toEqual(castOf(5).map(({ actor }) => actor));
});

test.each([2, 5, 10])(
  'with a breach of %d s spike and decay come to the point within three breaches',
  (secs) => {
    const cast = castOf(secs);
    const at = (name: string, atSecs: number) => cast.find(({ actor }) => actor.name === name)?.story(atSecs);
    expect(at('spike', 0)?.requestsPerSecond).toBe(80);
    expect(at('spike', secs)?.requestsPerSecond).toBe(320);
    expect(at('decay', 0)?.requestsPerSecond).toBe(120);
    expect(at('decay', 3 * secs)?.requestsPerSecond).toBe(10);
  },
);

test('before its story begins an app has the load that the story begins with', () => {
  for (const { app, story } of castOf(5)) expect(app.load(-100)).toEqual(story(0));
});

test('a story begins when it is told, and again after its length', () => {
  const told = beginningAt(100, load);
  expect([90, 100, 175].map((secs) => told(secs).requestsPerSecond)).toEqual([-10, 0, 75]);
  const again = beginningAt(100, load, 60);
  expect([90, 100, 159, 160, 175].map((secs) => again(secs).requestsPerSecond)).toEqual([-10, 0, 59, 0, 15]);
});
