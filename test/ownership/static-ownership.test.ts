import { expect, test } from '@jest/globals';
import { createHash } from 'node:crypto';
import { fnv1a32, mix32 } from '../../src/util/hash.js';
import { createStaticOwnership } from '../../src/ownership/static-ownership.js';

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
