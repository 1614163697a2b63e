import { memberOf } from './lease-id.js';
import type { MemberRow } from './member-store.js';
import { createView } from './rendezvous.js';
import { createRoster, membersAt } from './roster.js';

/** Which of these members owns an app now, as each of them reckons; undefined where nobody is there. */
export function ownerOf(appId: string, members: readonly MemberRow[]): MemberRow | undefined {
  const longestFirst = [...members].sort((a, b) => a.countsInMs - b.countsInMs);
  const owner = createView(membersAt(createRoster(longestFirst, 0), 0)).ownerOf(appId);
  return members.findLast(({ leaseId }) => memberOf(leaseId) === owner);
}
