import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { createLeaseIds, memberOf } from '../../src/ownership/lease-id.js';
import { createView, isSameView } from '../../src/ownership/rendezvous.js';

const apps = Array.from({ length: 3000 }, (_, i) => uuidOf(`app ${i}`));

test.each([1, 2, 3, 5, 10, 20, 30])('%i members share 3,000 apps evenly', (count) => {
  const view = createView(membersOf(count));
  const share = apps.length / count;
  for (const member of view.members) {
    const owned = apps.filter((app) => view.ownerOf(app) === member).length;
    expect(owned).toBeGreaterThan(share - 4 * Math.sqrt(share));
    expect(owned).toBeLessThan(share + 4 * Math.sqrt(share));
  }
});

test.each([1, 2, 3, 5, 9, 20])(
  'a member more than %i takes its share from the others and moves nothing else',
  (count) => {
    const members = membersOf(count + 1);
    const before = createView(members.slice(0, count));
    const after = createView(members);
    const moved = apps.filter((app) => before.ownerOf(app) !== after.ownerOf(app));
    expect(moved.length / apps.length).toBeLessThanOrEqual(1 / (count + 1) + 0.03);
    expect(moved.every((app) => after.ownerOf(app) === members[count])).toBe(true);
  },
);

test('the owner does not depend on the order or repetition in which members are listed', () => {
  fc.assert(
    fc.property(
      fc.array(fc.uuid(), { minLength: 1, maxLength: 8 }).chain((ids) =>
        fc.record({
          ids: fc.constant(ids),
          shuffled: fc.shuffledSubarray(ids, { minLength: ids.length }),
        }),
      ),
      fc.string(),
      ({ ids, shuffled }, appId) => {
        const [view, other] = [createView(ids), createView([...shuffled, ...ids])];
        expect(isSameView(view, other)).toBe(true);
        expect(view.ownerOf(appId)).toBe(other.ownerOf(appId));
        expect(ids).toContain(view.ownerOf(appId));
      },
    ),
  );
});

test('without members nobody owns anything', () => {
  expect(createView([]).ownerOf('app')).toBeUndefined();
});

test.each<[string[] | null, string[] | null, boolean]>([
  [['a', 'b'], ['b', 'a'], true],
  [['a', 'b'], ['a', 'c'], false],
  [['a', 'b'], ['c', 'b'], false],
  [['a'], ['a', 'b'], false],
  [['a', 'b'], ['a'], false],
  [[], [], true],
  [null, null, true],
  [null, [], false],
  [[], null, false],
])('views of %j and %j are the same: %s', (one, other, same) => {
  const viewOf = (members: string[] | null) => members && createView(members);
  expect(isSameView(viewOf(one), viewOf(other))).toBe(same);
});

test('lease ids are never reused, sort by attempt and all belong to the same member', () => {
  const [one, other] = [createLeaseIds(), createLeaseIds()];
  const leases = [one.next(), one.next(), one.next()];
  expect([one.lowest, ...leases, one.highest]).toEqual(
    [...new Set([one.highest, ...leases, one.lowest])].sort(),
  );
  expect(new Set(leases.map(memberOf)).size).toBe(1);
  expect(memberOf(other.next())).not.toBe(memberOf(one.lowest));
  for (const id of leases)
    expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}$/);
});

function membersOf(count: number): string[] {
  return Array.from({ length: count }, (_, i) =>
    memberOf(createLeaseIds(createHash('sha1').update(`member ${i}`).digest()).next()),
  );
}

function uuidOf(name: string): string {
  const hex = createHash('sha1').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join(
    '-',
  );
}
