import type { MemberStore } from './member-store.js';

/** One member as operators see it (`GET /v1/members`, `eventgenerator members`). */
export interface MemberView {
  readonly leaseId: string;
  readonly instanceGuid: string;
  /** Repeats among members while a deployment replaces them one by one. */
  readonly instanceIndex: number;
  /** ISO 8601, by the database's clock: when this lease was taken. */
  readonly since: string;
  /** Between four and 6.5 s where all is well. */
  readonly expiresInSecs: number;
  /** As of the member's last renewal. */
  readonly appsOwned: number;
}

/** The living members, oldest first. Rejects when the database does not answer within a second. */
export async function membersView(store: Pick<MemberStore, 'readMembers'>): Promise<readonly MemberView[]> {
  const rows = await store.readMembers();
  return rows.map(({ joinedAtMs, expiresInMs, ...member }) => ({
    leaseId: member.leaseId,
    instanceGuid: member.instanceGuid,
    instanceIndex: member.instanceIndex,
    since: new Date(joinedAtMs).toISOString(),
    expiresInSecs: Math.round(expiresInMs / 100) / 10,
    appsOwned: member.appsOwned,
  }));
}

/** As `GET /v1/members` and `members --json` give it. */
export function memberJson(member: MemberView): Record<string, unknown> {
  return {
    lease_id: member.leaseId,
    instance_guid: member.instanceGuid,
    instance_index: member.instanceIndex,
    since: member.since,
    expires_in_secs: member.expiresInSecs,
    apps_owned: member.appsOwned,
  };
}
