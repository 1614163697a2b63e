import type { Database } from '../database/database.js';
import { maxPolicyBytes, parsePolicy } from './parse-policy.js';
import type { AppPolicy } from './policy.js';

/** A stored policy as it was understood. `version` differs whenever guid or text of the policy differ. */
export type StoredPolicy =
  | { readonly kind: 'usable'; readonly version: string; readonly policy: AppPolicy }
  | { readonly kind: 'broken'; readonly version: string; readonly problem: string };

/** Key: app id. */
export type StoredPolicies = ReadonlyMap<string, StoredPolicy>;

export interface PolicyStore {
  /**
   * All policies of one moment. Those in `known` whose version has not changed are taken over as they are, neither
   * transferred nor parsed. Rejects if not everything could be read; an empty table is an empty map.
   */
  read(known: StoredPolicies): Promise<StoredPolicies>;
}

const batchSize = 500;
const statementTimeoutMs = 10_000;

/**
 * One statement, hence one moment: an app changed meanwhile is seen old or new, never torn. The column's type is json,
 * with old installations text, and may become jsonb. SHA-256 because MD5 is not to be had from a server in FIPS mode.
 * The text of a huge policy is not transferred; one that is not to be parsed again neither.
 */
const readPolicies = `
select stored.app_id, stored.version,
       known.app_id is not null as is_known,
       octet_length(stored.policy) as bytes,
       case when known.app_id is null and octet_length(stored.policy) <= $3 then stored.policy end as policy
from (
  select app_id, policy_json::text as policy,
         guid || ':' || coalesce(encode(sha256(convert_to(policy_json::text, 'UTF8')), 'hex'), 'null') as version
  from policy_json
) as stored
left join unnest($1::text[], $2::text[]) as known(app_id, version)
  on known.app_id = stored.app_id and known.version = stored.version`;

type Row = readonly [
  appId: string,
  version: string,
  isKnown: boolean,
  bytes: number | null,
  policy: string | null,
];

export function createPolicyStore(database: Pick<Database, 'stream'>): PolicyStore {
  return {
    async read(known) {
      const versions = [...known.values()].map((stored) => stored.version);
      const rows = database.stream<Row>(readPolicies, [[...known.keys()], versions, maxPolicyBytes], {
        batchSize,
        timeoutMs: statementTimeoutMs,
      });
      const policies = new Map<string, StoredPolicy>();
      for await (const batch of rows) {
        for (const [appId, version, isKnown, bytes, text] of batch) {
          const unchanged = isKnown ? known.get(appId) : undefined;
          policies.set(appId, unchanged ?? understand(appId, version, bytes, text));
        }
      }
      return policies;
    },
  };
}

function understand(appId: string, version: string, bytes: number | null, text: string | null): StoredPolicy {
  if (bytes !== null && bytes > maxPolicyBytes) {
    return { kind: 'broken', version, problem: `it is ${bytes} bytes long, more than ${maxPolicyBytes}` };
  }
  const parsed = parsePolicy(text);
  return parsed.ok
    ? { kind: 'usable', version, policy: { appId, version, rules: parsed.rules } }
    : { kind: 'broken', version, problem: parsed.problem };
}
