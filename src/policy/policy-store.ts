import type { Database } from '../database/database.js';
import { maxPolicyBytes, parsePolicy } from './parse-policy.js';
import type { AppPolicy } from './policy.js';
import { policyLimits, type PolicyLimits } from './policy-limits.js';

/** A stored policy as it was understood. `version` differs whenever guid or text of the policy differ. */
export type StoredPolicy =
  | { readonly kind: 'usable'; readonly version: string; readonly policy: AppPolicy }
  | { readonly kind: 'broken'; readonly version: string; readonly problem: string };

/** The apps of one bucket. Which bucket an app is in depends on its id alone. */
export interface Bucket {
  readonly number: number;
  /** Differs whenever a policy of the bucket came, went or changed; after a restore, but for one chance in four billion. */
  readonly digest: string;
  /** JSON lists, in the same order: app ids, and what differs whenever the app's row differs. */
  readonly appIds: string;
  readonly stamps: string;
}

/** A policy with its text, as far as that is not too long. */
export interface PolicyText {
  readonly appId: string;
  /** As in the app's bucket at that moment. */
  readonly stamp: number;
  readonly stored: StoredPolicy;
  readonly text: string | null;
}

/**
 * The policies of a foundation, of which a member needs few. All reads reject if not everything could be read; an empty
 * table is a legal state.
 */
export interface PolicyStore {
  /** The digest of each bucket that has apps. Key: its number. */
  digests(): Promise<ReadonlyMap<number, string>>;
  /** These buckets, in batches. Those without apps are missing. */
  buckets(numbers: readonly number[]): AsyncIterable<readonly Bucket[]>;
  /** The policies of these apps, in batches. Those without a policy are missing. */
  policies(appIds: readonly string[]): AsyncIterable<readonly PolicyText[]>;
}

/** A batch of half a million apps in 4,096 buckets has 12,000 apps, half a megabyte. */
const bucketsPerBatch = 100;
const policiesPerBatch = 500;
const statementTimeoutMs = 10_000;

/**
 * Few enough that their digests cost nothing to transfer, enough that the apps of a bucket that differs are few. Any
 * PostgreSQL may hash differently, so a bucket's number means something for as long as the server is the same; on
 * another, all digests differ, and everything is read anew.
 */
const bucket = 'hashtext(app_id) & 4095';

/** xmin, the transaction that wrote the row, tells a change of the text without reading it. */
const stamp = 'hashtext(guid || xmin::text)';

/**
 * The last number is the sum of all xmin, each less 100: the difference between two ages. An age costs half of a stamp,
 * because it is a number. When an age passes 2^31, its bucket differs once. Rows that were frozen before PostgreSQL 9.4 have
 * no age. Their buckets differ after every transaction.
 */
const digest = `count(*) || ':' || sum(hashtext(guid)) || ':' || count(*) * age('100'::xid) - sum(age(xmin))`;

const selectDigests = `select ${bucket}, ${digest} from policy_json group by 1`;
const selectBuckets = `
select ${bucket} as bucket, ${digest}, json_agg(app_id)::text, json_agg(${stamp})::text
from policy_json where (${bucket}) = any($1) group by 1`;

/**
 * The column's type is json, with old installations text, and may become jsonb. SHA-256 because MD5 is not to be had
 * from a server in FIPS mode.
 */
const version = `guid || ':' || coalesce(encode(sha256(convert_to(policy_json::text, 'UTF8')), 'hex'), 'null')`;

/** An app changed meanwhile is seen old or new, never torn. The text of a huge policy is not transferred. */
const selectPolicies = (where: string) => `
select app_id, stamp, version, octet_length(policy), case when octet_length(policy) <= $1 then policy end
from (select app_id, ${stamp} as stamp, ${version} as version, policy_json::text as policy
      from policy_json ${where}) as stored`;

type PolicyRow = readonly [
  appId: string,
  stamp: number,
  version: string,
  bytes: number | null,
  policy: string | null,
];

export function createPolicyStore(database: Pick<Database, 'stream'>): PolicyStore {
  const options = { batchSize: bucketsPerBatch, timeoutMs: statementTimeoutMs };
  return {
    async digests() {
      const digests = new Map<number, string>();
      for await (const rows of database.stream<readonly [number, string]>(selectDigests, [], options)) {
        for (const [number, value] of rows) digests.set(number, value);
      }
      return digests;
    },
    async *buckets(numbers) {
      type Row = readonly [number: number, digest: string, appIds: string, stamps: string];
      for await (const rows of database.stream<Row>(selectBuckets, [numbers], options)) {
        yield rows.map((row) => ({ number: row[0], digest: row[1], appIds: row[2], stamps: row[3] }));
      }
    },
    policies: (appIds) => policyTexts(database, 'where app_id = any($2)', [appIds]),
  };
}

/** One app's policy; null where the app has none. */
export async function readPolicy(
  database: Pick<Database, 'stream'>,
  appId: string,
): Promise<PolicyText | null> {
  for await (const [policy] of policyTexts(database, 'where app_id = $2', [appId])) return policy ?? null;
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
export async function* readPolicies(database: Pick<Database, 'stream'>): AsyncGenerator<PolicyText> {
  for await (const policies of policyTexts(database, '', [])) yield* policies;
}

async function* policyTexts(
  database: Pick<Database, 'stream'>,
  where: string,
  params: readonly unknown[],
): AsyncGenerator<readonly PolicyText[]> {
  const options = { batchSize: policiesPerBatch, timeoutMs: statementTimeoutMs };
  const sql = selectPolicies(where);
  for await (const rows of database.stream<PolicyRow>(sql, [maxPolicyBytes, ...params], options)) {
    yield rows.map((row) => ({ appId: row[0], stamp: row[1], stored: understand(row), text: row[4] }));
  }
}

function understand([appId, , version, bytes, text]: PolicyRow): StoredPolicy {
  if (bytes !== null && bytes > maxPolicyBytes) {
    return { kind: 'broken', version, problem: `it is ${bytes} bytes long, more than ${maxPolicyBytes}` };
  }
  const parsed = parsePolicy(text);
  if (!parsed.ok) return { kind: 'broken', version, problem: parsed.problem };
  const { rules, fixedInstances } = parsed;
  const limits = fixedInstances === undefined ? {} : { fixedInstances };
  return { kind: 'usable', version, policy: { appId, version, rules, ...limits } };
}
