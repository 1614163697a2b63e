import { fnv1a32, mix32 } from '../util/hash.js';

/**
 * The members that share the apps, and which of them owns which app. Two views of the same members name the same owner
 * for every app. A member that comes or goes moves only the apps that it gains or had.
 */
export interface View {
  /** Sorted, without repetition. */
  readonly members: readonly string[];
  /** One of `members`; undefined where there are none. */
  ownerOf(appId: string): string | undefined;
}

/**
 * Rendezvous hashing: an app belongs to the member with the highest score for it. The score applies murmur3's finaliser
 * to the FNV-1a hashes of member and app, and again to both together. Once is not enough: raw FNV hashes of similar
 * names differ in few bits, and the member that leads for one app would lead for its neighbours.
 */
export function createView(memberIds: Iterable<string>): View {
  const members = [...new Set(memberIds)].sort();
  const memberHashes = Uint32Array.from(members, (member) => mix32(fnv1a32(member)));
  return {
    members,
    ownerOf(appId) {
      const appHash = mix32(fnv1a32(appId));
      let owner = 0;
      let highest = -1;
      // Called for every app at every membership change, hence a plain loop. Of equal scores the first member's wins, so
      // that all members agree.
      for (let index = 0; index < memberHashes.length; index++) {
        const score = mix32((memberHashes[index] ?? 0) ^ appHash);
        if (score > highest) {
          highest = score;
          owner = index;
        }
      }
      return members[owner];
    },
  };
}

export function isSameView(one: View | null, other: View | null): boolean {
  if (one === null || other === null) return one === other;
  return (
    one.members.length === other.members.length &&
    one.members.every((member, index) => member === other.members[index])
  );
}
