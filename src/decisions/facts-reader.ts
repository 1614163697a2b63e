import type { Mode, StaticPool } from '../config/config.js';
import type { Database } from '../database/database.js';
import { saysTableIsGone } from '../database/ensure-tables.js';
import { noSuchTable } from '../database/errors.js';
import { tableNames } from '../database/table-names.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import type {
  Facts,
  OwnerFacts,
  OwnersKnowledge,
  Pauses,
  PolicyFacts,
  RecordedDecision,
} from '../explanation/facts.js';
import { policyLimits } from '../policy/policy-limits.js';
import { createMemberStore, type MemberRow } from '../ownership/member-store.js';
import { pausesOf } from '../ownership/elastic-claims.js';
import { ownerOf } from '../ownership/owner-of.js';
import { createTriggerStore } from '../ownership/trigger-store.js';
import { readPolicy } from '../policy/policy-store.js';
import { fnv1a32 } from '../util/hash.js';
import type { Clock } from '../util/clock.js';
import { errorCode, errorText } from '../util/errors.js';
import { createDecisionStore } from './decision-store.js';
import { createRecordedHistories, unreadMetricTypes } from './recorded-histories.js';

/** What a running member knows without a database. */
export interface LocalFacts {
  /** Of this process; null before the first and with static ownership. */
  leaseId(): string | null;
  /** null: not an app of ours, or not evaluated yet. */
  knowledgeOf(appId: string): OwnersKnowledge | null;
  pausesOf(appId: string): Pauses;
}

export interface FactsReaderOptions {
  /** Whose tables are read: those of acting members or of observers. */
  readonly mode: Mode;
  readonly policyDb: Pick<Database, 'stream'>;
  readonly appMetricsDb: Pick<Database, 'query'>;
  readonly pool: { readonly mode: 'static' | 'elastic'; readonly static: StaticPool | null };
  readonly clock: Pick<Clock, 'now'>;
  readonly settings: EvaluationSettings;
  readonly evaluationIntervalMs: number;
  /** null in a command, which is no member. */
  readonly local: LocalFacts | null;
}

/**
 * Returns what reads the facts that explain an app's decision: from the databases, and from the memory of this member
 * where it owns the app. Never rejects: what cannot be read is `missing`. A time is wall-clock ms in the past; default now.
 */
export function createFactsReader(
  options: FactsReaderOptions,
): (appId: string, atMs?: number) => Promise<Facts> {
  const { appMetricsDb, clock, pool, local } = options;
  const names = tableNames(options.mode);
  const members = createMemberStore(appMetricsDb, names);
  const triggers = createTriggerStore(appMetricsDb, names);
  const decisions = createDecisionStore(appMetricsDb, names);
  const histories = createRecordedHistories(appMetricsDb, names.appMetric, options.settings);

  async function readOwner(appId: string): Promise<OwnerFacts | 'nobody'> {
    if (pool.mode === 'static') return staticOwner(appId, pool.static, local);
    const owner = ownerOf(appId, await members.readMembers());
    return owner ? elasticOwner(owner, local) : 'nobody';
  }

  async function readPauses(appId: string): Promise<Pauses> {
    const blocks = await triggers.readBlocks([appId]);
    return pausesOf(blocks.get(appId), clock.now());
  }

  /** In the past only what was written down counts. */
  async function readPast(appId: string, untilMs: number): Promise<RecordedDecision | null> {
    const [change] = await decisions.readChanges({ appId, sinceMs: 0, untilMs, limit: 1 });
    return change ? { code: change.to, sinceMs: change.atMs, text: change.text } : null;
  }

  /** What the own member knows. Where it has posted nothing yet, the row has the trigger of the owner before. */
  async function withLastTrigger(appId: string, own: OwnersKnowledge): Promise<OwnersKnowledge> {
    if (own.lastTrigger !== null) return own;
    const row = await decisions.read(appId).catch(() => null);
    return row?.policyTag === own.policyTag ? { ...own, lastTrigger: row.lastTrigger } : own;
  }

  return async (appId, askedMs) => {
    const { missing, attempt } = attempts(local === null);
    const atMs = askedMs ?? clock.now();
    const isPast = askedMs !== undefined;
    const own = isPast ? null : (local?.knowledgeOf(appId) ?? null);
    const isShared = pool.mode === 'elastic';
    const [policy, owner, pauses, knowledge, recorded] = await Promise.all([
      attempt('policy_db', readPolicyFacts(options.policyDb, appId)),
      isPast ? null : attempt('who owns the app', readOwner(appId)),
      own && local
        ? local.pausesOf(appId)
        : isPast || !isShared
          ? null
          : attempt('cool-downs', readPauses(appId)),
      isPast
        ? null
        : own
          ? withLastTrigger(appId, own)
          : attempt('what the owner decided', decisions.read(appId)),
      isPast ? attempt('what was decided then', readPast(appId, atMs)) : null,
    ]);
    if (isPast) missing.push(notKept);
    else if (!isShared && !own)
      missing.push('cool-downs and back-offs: only the owner of the app knows them');
    const usable = policy?.kind === 'usable' ? policy.policy : null;
    if (usable) missing.push(...unreadMetricTypes(usable));
    const [read, withoutValues] = await Promise.all([
      usable && attempt('app metrics', histories.readHistories(usable, atMs)),
      usable && attempt('app metrics of a day', histories.readWithoutValues([usable], atMs)),
    ]);
    return {
      appId,
      isObserver: options.mode === 'observe',
      atMs,
      policy: policy ?? { kind: 'unknown' },
      histories: read,
      withoutValues: withoutValues?.get(appId) ?? [],
      pauses,
      owner,
      knowledge,
      knownBy: own ? 'owner' : (knowledge ?? recorded) ? 'table' : null,
      recorded,
      missing,
      evaluationIntervalMs: options.evaluationIntervalMs,
    };
  };
}

const notKept =
  'of the past only app metrics and changes of decisions are kept: not owners, cool-downs and policies. Rules are judged by the policy of now';

/** What cannot be read is null, and `missing` says so. */
function attempts(isOperator: boolean) {
  const missing: string[] = [];
  const attempt = <T>(what: string, work: Promise<T>): Promise<T | null> =>
    work.catch((error: unknown) => {
      missing.push(`${what}: ${whyMissing(error, isOperator)}`);
      return null;
    });
  return { missing, attempt };
}

/** Addresses and names in errors of a database are for operators, not for clients of the API. */
function whyMissing(error: unknown, isOperator: boolean): string {
  if (errorCode(error) === noSuchTable) return 'the table is missing; `eventgenerator migrate` creates it';
  if (isOperator) return errorText(error);
  return saysTableIsGone(error)
    ? 'the database user has no right to read it'
    : 'the database does not answer';
}

async function readPolicyFacts(policyDb: Pick<Database, 'stream'>, appId: string): Promise<PolicyFacts> {
  const found = await readPolicy(policyDb, appId);
  if (!found) return { kind: 'none' };
  const { stored, text } = found;
  if (stored.kind === 'broken') return stored;
  return { kind: 'usable', policy: stored.policy, ...policyLimits(text) };
}

function elasticOwner(owner: MemberRow, local: LocalFacts | null): OwnerFacts {
  const { leaseId, instanceGuid, instanceIndex } = owner;
  return { leaseId, instanceGuid, instanceIndex, isMe: local ? leaseId === local.leaseId() : null };
}

function staticOwner(appId: string, numbers: StaticPool | null, local: LocalFacts | null): OwnerFacts {
  const { totalInstances, instanceIndex } = numbers ?? { totalInstances: 1, instanceIndex: 0 };
  const index = fnv1a32(appId) % totalInstances;
  return {
    instanceIndex: index,
    leaseId: null,
    instanceGuid: null,
    isMe: local ? index === instanceIndex : null,
  };
}
