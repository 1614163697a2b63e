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
