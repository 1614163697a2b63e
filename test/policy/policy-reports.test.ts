import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { StoredPolicy } from '../../src/policy/policy-store.js';
import { broken, PollerScene, usable } from './poller-scene.js';

let scene: PollerScene;
beforeEach(() => void (scene = new PollerScene()));
afterEach(() => scene.stop());

const questionable = (appId: string, version: string): [string, StoredPolicy] => {
  const rule = { operator: '>=', adjustment: '+1', breachDurationSecs: 60, coolDownSecs: 60 };
  const rules = ['cpu', 'memory'].map((metricType) => ({ ...rule, metricType, threshold: 80n }));
  return [appId, { kind: 'usable', version, policy: { appId, version, rules } }];
};

describe('broken policies', () => {
  test('are reported once per version and counted; their apps are not in force', async () => {
    const removed: string[] = [];
    scene.poller.onChange((changes) => void removed.push(...changes.removed));
    await scene.poll(usable('a', '1'), broken('b', '1'));
    await scene.poll(broken('a', '2'), broken('b', '1'));
    await scene.poll(broken('a', '2'), broken('b', '2'));
    const message = 'the policy cannot be used: it is NULL';
    expect(scene.log.filter(([event]) => event === 'policy-broken')).toEqual([
      ['policy-broken', { appId: 'b', message }],
      ['policy-broken', { appId: 'a', message }],
      ['policy-broken', { appId: 'b', message }],
    ]);
    expect(removed).toEqual(['a']);
    expect(scene.inForce()).toEqual([]);
    expect([await scene.gauge('policies'), await scene.gauge('policies_broken')]).toEqual([[2], [2]]);
  });

  test('are told of again each day, in one line with twenty of them', async () => {
    const dayMs = 86_400_000;
    const hourMs = 3_600_000;
    scene = new PollerScene(hourMs);
    const told = () =>
      scene.log.filter(([event]) => event === 'policies-still-broken').map(([, data]) => data);
    await scene.poll(...Array.from({ length: 30 }, (_, i) => broken(`app-${i}`, '1')));
    await scene.clock.advance(dayMs - 2 * hourMs);
    expect(told()).toEqual([]);
    await scene.clock.advance(2 * hourMs);
    const appIds = Array.from({ length: 20 }, (_, i) => `app-${i}`);
    expect(told()).toEqual([{ policies: 30, appIds, message: '30 policies cannot be used' }]);
    await scene.clock.advance(dayMs);
    expect(told()).toHaveLength(2);
    scene.table.have(usable('app-0', '2'));
    await scene.clock.advance(dayMs);
    expect(told()).toHaveLength(2);
  });

  test('that can be used again are told of, too', async () => {
    await scene.poll(broken('a', '1'));
    await scene.poll(usable('a', '2'));
    await scene.poll(usable('a', '2'));
    expect(scene.log.filter(([event]) => event === 'policy-usable-again')).toEqual([
      ['policy-usable-again', { appId: 'a' }],
    ]);
  });

  test('thousands of them do not flood the log', async () => {
    await scene.poll(...Array.from({ length: 1000 }, (_, i) => broken(`app-${i}`, '1')));
    expect(scene.events().filter((event) => event === 'policy-broken')).toHaveLength(20);
    expect(scene.log.at(-1)).toEqual(['more-policies-broken', { notNamed: 980 }]);
  });
});

describe('rules that name a gauge of containers instead of a metric type', () => {
  const told = () => scene.log.filter(([event]) => event.includes('custom-metrics-only'));

  test('are told once a version, with what they likely mean', async () => {
    const rules = [
      { rule: 'scaling_rules[1]', metricType: 'memory', likelyMeaning: 'memoryused (MB) or memoryutil (%)' },
    ];
    for (const [version, lines] of [
      ['1', 1],
      ['1', 1],
      ['2', 2],
    ] as const) {
      await scene.poll(questionable('a', version), usable('b', version));
      expect(told()).toEqual(
        Array.from({ length: lines }, () => ['custom-metrics-only', { appId: 'a', rules }]),
      );
    }
  });

  test('of many apps at once: twenty are named, the others counted', async () => {
    await scene.poll(...Array.from({ length: 1_000 }, (_, i) => questionable(`app-${i}`, '1')));
    expect(told()).toHaveLength(21);
    expect(told().at(-1)).toEqual(['more-custom-metrics-only', { notNamed: 980 }]);
  });
});
