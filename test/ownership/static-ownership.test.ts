import { expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { fnv1a32, mix32 } from '../../src/ownership/hash.js';
import { movedApps, ownedPolicies } from '../../src/ownership/owned-apps.js';
import { createStaticOwnership } from '../../src/ownership/static-ownership.js';
import type { AppPolicy } from '../../src/policy/policy.js';

test('FNV-1a matches the published test vectors', () => {
  expect(fnv1a32('')).toBe(0x811c9dc5);
  expect(fnv1a32('a')).toBe(0xe40c292c);
  expect(fnv1a32('foobar')).toBe(0xbf9cf968);
});

test('every app has exactly one owner among the static instances', () => {
  const instances = [0, 1, 2].map((instanceIndex) =>
    createStaticOwnership({ totalInstances: 3, instanceIndex }),
  );
  for (let i = 0; i < 500; i++) {
    const appId = createHash('sha1').update(String(i)).digest('hex');
    expect(instances.filter((instance) => instance.owns(appId))).toHaveLength(1);
  }
});

test('mixed hashes of similar names fill their whole range', () => {
  const buckets = new Array<number>(16).fill(0);
  for (let i = 0; i < 16_000; i++) buckets[mix32(fnv1a32(`app-${i}`)) >>> 28]!++;
  expect(Math.min(...buckets)).toBeGreaterThan(850);
  expect(Math.max(...buckets)).toBeLessThan(1150);
});

test('apps without scaling rules are nobody’s work', () => {
  const rule = {
    metricType: 'cpu',
    threshold: 1n,
    operator: '>',
    adjustment: '+1',
    breachDurationSecs: 0,
    coolDownSecs: 0,
  };
  const policies = new Map<string, AppPolicy>([
    ['with', { appId: 'with', version: '1', rules: [rule] }],
    ['without', { appId: 'without', version: '1', rules: [] }],
    ['other', { appId: 'other', version: '1', rules: [rule] }],
  ]);
  const owned = ownedPolicies(policies, { owns: (appId) => appId !== 'other' });
  expect([...owned.keys()]).toEqual(['with']);
});

test('what a change of members moved is told apart by gained and lost', () => {
  const [before, after] = [new Map(Object.entries({ a: 1, b: 1 })), new Map(Object.entries({ b: 2, c: 2 }))];
  expect(movedApps(before, after)).toEqual({ gained: ['c'], lost: ['a'] });
});
