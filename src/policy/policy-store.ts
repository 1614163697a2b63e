import type { Database } from '../database/database.js';
import { maxPolicyBytes, parsePolicy } from './parse-policy.js';
import { policyLimits, type PolicyLimits } from './policy-limits.js';
import type { AppPolicy } from './policy.js';

/** A stored policy as it was understood. `version` differs whenever guid or text of the policy differ. */
export type StoredPolicy =
  | { readonly kind: 'usable'; readonly version: string; readonly policy: AppPolicy }
  | { readonly kind: 'broken'; readonly version: string; readonly problem: string };

/** Key: app id. */
export type StoredPolicies = ReadonlyMap<string, StoredPolicy>;

export interface PolicyStore {
  /**
   * All policies; `known` itself if nothing has changed. Those in `known` whose version is still the same are taken
   * over as they are, neither transferred nor parsed. Rejects if not everything could be read; an empty table is an
   * empty map.
   */
  read(known: StoredPolicies): Promise<StoredPolicies>;
}

const batchSize = 500;
const statementTimeoutMs = 10_000;

/**
 * The column's type is json, with old installations text, and may become jsonb. SHA-256 because MD5 is not to be had
 * from a server in FIPS mode.
 */
const version = `guid || ':' || coalesce(encode(sha256(convert_to(policy_json::text, 'UTF8')), 'hex'), 'null')`;

const readVersions = `select app_id, ${version} from policy_json`;

/** An app changed meanwhile is seen old or new, never torn. The text of a huge policy is not transferred. */
const selectPolicies = (where: string) => `
select app_id, version, octet_length(policy), case when octet_length(policy) <= $1 then policy end
from (select app_id, ${version} as version, policy_json::text as policy from policy_json ${where}) as stored`;

type VersionRow = readonly [appId: string, version: string];
type PolicyRow = readonly [...VersionRow, bytes: number | null, policy: string | null];

export function createPolicyStore(database: Pick<Database, 'stream'>): PolicyStore {
  const rows = <Row extends readonly unknown[]>(sql: string, params: readonly unknown[]) =>
    database.stream<Row>(sql, params, { batchSize, timeoutMs: statementTimeoutMs });

  async function addPolicies(policies: Map<string, StoredPolicy>, appIds: readonly string[] | null) {
    const batches = appIds
      ? rows<PolicyRow>(selectPolicies('where app_id = any($2)'), [maxPolicyBytes, appIds])
      : rows<PolicyRow>(selectPolicies(''), [maxPolicyBytes]);
    for await (const batch of batches) {
      for (const row of batch) policies.set(row[0], understand(row));
    }
  }

  return {
    // The versions known here are not sent to be compared there: for tens of thousands of apps that would take the
    // main thread longer than to compare what comes back, and all at once.
    async read(known) {
      const policies = new Map<string, StoredPolicy>();
      if (known.size === 0) {
        await addPolicies(policies, null);
        return policies;
      }
      const changed: string[] = [];
      for await (const batch of rows<VersionRow>(readVersions, [])) {
        for (const [appId, storedVersion] of batch) {
          const entry = known.get(appId);
          if (entry?.version === storedVersion) policies.set(appId, entry);
          else changed.push(appId);
        }
      }
      if (changed.length > 0) await addPolicies(policies, changed);
      return changed.length === 0 && policies.size === known.size ? known : policies;
    },
  };
}

/** A policy with its text, as far as that is not too long. */
export interface PolicyText {
  readonly appId: string;
  readonly stored: StoredPolicy;
  readonly text: string | null;
}

/** One app's policy; null where the app has none. */
export async function readPolicy(
  database: Pick<Database, 'stream'>,
  appId: string,
): Promise<PolicyText | null> {
  for await (const policy of policyTexts(database, 'where app_id = $2', [appId])) return policy;
  return null;
}

/** The limits of one app's policy; null where the app has none. */
export async function readPolicyLimits(
  database: Pick<Database, 'stream'>,
  appId: string,
): Promise<PolicyLimits | null> {
  const found = await readPolicy(database, appId);
  return found && policyLimits(found.text);
}

/** All policies, one after the other. Rejects when not everything could be read, also in the middle. */
export function readPolicies(database: Pick<Database, 'stream'>): AsyncIterable<PolicyText> {
  return policyTexts(database, '', []);
}

async function* policyTexts(
  database: Pick<Database, 'stream'>,
  where: string,
  params: readonly unknown[],
): AsyncGenerator<PolicyText> {
  const batches = database.stream<PolicyRow>(selectPolicies(where), [maxPolicyBytes, ...params], {
    batchSize,
    timeoutMs: statementTimeoutMs,
  });
  for await (const batch of batches) {
    for (const row of batch) yield { appId: row[0], stored: understand(row), text: row[3] };
  }
}

function understand([appId, version, bytes, text]: PolicyRow): StoredPolicy {
  if (bytes !== null && bytes > maxPolicyBytes) {
    return { kind: 'broken', version, problem: `it is ${bytes} bytes long, more than ${maxPolicyBytes}` };
  }
  const parsed = parsePolicy(text);
  return parsed.ok
    ? { kind: 'usable', version, policy: { appId, version, rules: parsed.rules } }
    : { kind: 'broken', version, problem: parsed.problem };
}
