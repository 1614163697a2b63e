import { beforeEach, describe, expect, test } from '@jest/globals';
import { KnownPolicies } from '../../src/policy/known-policies.js';
import type { Bucket, StoredPolicy } from '../../src/policy/policy-store.js';
import { broken, usable } from './poller-scene.js';

let others: Set<string>;
let newVersions: string[];
let known: KnownPolicies;
beforeEach(() => {
  others = new Set();
  newVersions = [];
  known = new KnownPolicies(
    (appId) => !others.has(appId),
    (appId, before, now) => void newVersions.push(`${appId}: ${before?.version} -> ${now.version}`),
  );
});

/** A bucket with these apps, whose rows have these stamps. */
function bucket(number: number, stamps: Readonly<Record<string, number>>): Bucket {
  return {
    number,
    digest: `${Object.keys(stamps).length}:${JSON.stringify(stamps)}`,
    appIds: JSON.stringify(Object.keys(stamps)),
    stamps: JSON.stringify(Object.values(stamps)),
  };
}
const digestsOf = (...buckets: Bucket[]) => new Map(buckets.map(({ number, digest }) => [number, digest]));
const take = ([appId, stored]: [string, StoredPolicy], stamp = 1) =>
  known.take([{ appId, stamp, stored, text: null }]);
/** The bucket was read completely, and the policies of its apps with it. */
function have(read: Bucket): void {
  const stamps = JSON.parse(read.stamps) as number[];
  for (const [i, appId] of (JSON.parse(read.appIds) as string[]).entries()) {
    if (!others.has(appId)) take(usable(appId, `version of stamp ${stamps[i]}`), stamps[i]);
  }
  known.all.replace([read.number], [read]);
}

describe('buckets', () => {
  test('differ when they are new, when their digest is another, and when they are empty now', () => {
    const [same, before, emptied] = [bucket(1, { a: 1 }), bucket(2, { b: 1 }), bucket(3, { c: 1 })];
    expect(known.all.differing(digestsOf(same, before, emptied))).toEqual([1, 2, 3]);
    [same, before, emptied].forEach(have);
    expect(known.all.differing(digestsOf(same, before, emptied))).toEqual([]);
    expect(known.all.differing(digestsOf(same, bucket(2, { b: 2 }), bucket(4, { d: 1 })))).toEqual([2, 4, 3]);
    known.all.replace([3], []);
    expect(known.all.differing(digestsOf(same, before))).toEqual([]);
    expect(known.all.size).toBe(2);
  });

  test('that were not read completely differ again', () => {
    take(usable('a', '1'));
    expect(known.all.differing(digestsOf(bucket(1, { a: 1 })))).toEqual([1]);
    expect(known.all.size).toBe(0);
  });
});

describe('of a bucket that differs', () => {
  test('policies are to be read that are new or have another stamp; known apps that are missing are gone', () => {
    have(bucket(1, { same: 1, changed: 1, gone: 1 }));
    expect(known.compare(bucket(1, { same: 1, changed: 2, added: 1 }))).toEqual({
      toRead: ['changed', 'added'],
      gone: ['gone'],
    });
  });

  test('apps of other members are neither read nor gone', () => {
    others = new Set(['theirs', 'gone', 'added']);
    have(bucket(1, { ours: 1, theirs: 1, gone: 1 }));
    expect(known.compare(bucket(1, { ours: 1, theirs: 2, added: 1 }))).toEqual({ toRead: [], gone: [] });
  });

  test('apps that became ours are left to those that are gained', () => {
    others = new Set(['gained']);
    have(bucket(1, { ours: 1, gained: 1 }));
    others.clear();
    expect(known.compare(bucket(1, { ours: 1, gained: 1, new: 1 })).toRead).toEqual(['new']);
    expect([...known.all.appIds()].flat().filter((appId) => known.isGained(appId))).toEqual(['gained']);
  });

  test('all known apps are gone when it is empty', () => {
    others = new Set(['theirs']);
    have(bucket(1, { ours: 1, theirs: 1 }));
    have(bucket(2, { else: 1 }));
    expect(known.compare(bucket(1, {})).gone).toEqual(['ours']);
    known.remove(['ours']);
    expect([...known.appIds()]).toEqual(['else']);
  });
});

describe('policies that were read', () => {
  test.each([
    ['usable for the first time', null, usable, { added: ['a'] }],
    ['broken for the first time', null, broken, {}],
    ['usable with another version', usable, usable, { changed: ['a'] }],
    ['usable no more', usable, broken, { removed: ['a'] }],
    ['usable again', broken, usable, { added: ['a'] }],
    ['still broken', broken, broken, {}],
  ])('are told of: %s', (_, before, now, expected) => {
    if (before) take(before('a', '1'));
    expect(take(now('a', '2'))).toEqual({ added: [], changed: [], removed: [], ...expected });
    expect(known.policyOf('a')?.version).toBe(now === usable ? '2' : undefined);
    expect(newVersions.at(-1)).toBe(`a: ${before ? '1' : undefined} -> 2`);
  });

  test('stay the same object where only the row was written again', () => {
    have(bucket(1, { a: 1 }));
    const policy = known.policyOf('a');
    expect(take(usable('a', policy!.version), 2)).toEqual({ added: [], changed: [], removed: [] });
    expect(known.policyOf('a')).toBe(policy);
    expect(newVersions).toHaveLength(1);
    expect(known.compare(bucket(1, { a: 2 })).toRead).toEqual([]);
  });
});

test('what is another member’s is forgotten at the second count that drops it, unless it came back', () => {
  take(usable('ours', '1'));
  take(usable('lost', '1'));
  take(broken('broken', '1'));
  others = new Set(['lost']);
  const counts = { owned: 2, withRules: 0, broken: ['broken'] };
  expect(known.count({ dropsOthers: true })).toEqual(counts);
  others.clear();
  expect(known.count()).toEqual({ ...counts, owned: 3 });
  others = new Set(['lost']);
  expect(known.count({ dropsOthers: true })).toEqual(counts);
  expect(known.count()).toEqual(counts);
  expect(known.policyOf('lost')).toBeDefined();
  known.count({ dropsOthers: true });
  expect([...known.appIds()]).toEqual(['ours', 'broken']);
});
