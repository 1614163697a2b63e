import { errorCode } from '../util/errors.js';
import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Direction } from '../policy/policy.js';
import type { ClaimResult, Claims } from './claims.js';
import { claimIdOf } from './lease-id.js';
import type { ElasticOwnership } from './elastic-ownership.js';
import { createClaimCompletions } from './claim-completions.js';
import { claimDeadlineMs, pruneEveryMs } from './timing.js';
import type { ClaimOutcome, TriggerStore } from './trigger-store.js';

/** Why a trigger for an app would be refused, as far as members have told each other. Wall-clock ms; null: not at all. */
export interface KnownCoolDown {
  readonly coolDownUntilMs: number | null;
  readonly ignoredOutUntilMs: number | null;
  readonly ignoredInUntilMs: number | null;
}

export interface ElasticClaims extends Claims {
  /** For apps that this member has come to own; one statement for all. Rejects when the database does not answer. */
  readCoolDowns(appIds: readonly string[]): Promise<ReadonlyMap<string, KnownCoolDown>>;
  /** Records what still waits for the database, if that is quick. Idempotent; never rejects. */
  stop(): Promise<void>;
}

export interface ElasticClaimsOptions {
  readonly clock: Clock;
  readonly store: TriggerStore;
  readonly ownership: Pick<ElasticOwnership, 'leaseId' | 'mayPost' | 'confirmLease' | 'owns'>;
  /** At most one trigger per app in this time: the evaluation interval. */
  readonly intervalMs: number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'claims' | 'claimAnswersLost' | 'logLinesSuppressed'>;
}

/** `skipped`: posted without a claim; `undecided`: not posted, because it is not known whether anyone may. */
type Counted = 'won' | 'lost' | 'skipped' | 'undecided';

/**
 * Why an attempt was not decided.
 * - `no-answer`: none, or one that came too late to act on; perhaps the claim is made, or will be
 * - `impossible`: the database says that it cannot make claims (no such table, no right to write it)
 */
type Undecided = 'no-answer' | 'impossible';

/** As many apps as a fleet may have. */
const unansweredLimit = 50_000;

const leaseLost: ClaimResult = { granted: false, reason: 'lease-lost' };

/**
 * Claims an app's row in the database before each post: whatever members believe of their leases, one row is
 * updated once. Why an undecided claim is no permission: docs/decisions/0002-leases-and-claims.md.
 */
export function createElasticClaims(options: ElasticClaimsOptions): ElasticClaims {
  const { clock, store, ownership, intervalMs, metrics } = options;
  const logger = options.logger.child('claims');
  const repeated = new RepeatedEvents({ clock, logger, metrics });
  /** App id to the id of a claim that may have been made without its answer getting through. */
  const unanswered = new Map<string, string>();
  /** Apps whose claim is being decided: two claims of one process must not share an id. */
  const deciding = new Set<string>();
  let claimCount = 0;
  const settlements = createClaimCompletions({
    ...options,
    logger,
    nextClaimId: () => (ownership.leaseId === null ? null : claimIdOf(ownership.leaseId, claimCount++)),
  });
  let prunedMs = -Infinity;

  function counted(result: Counted, answer: ClaimResult): ClaimResult {
    metrics.claims.inc({ result });
    return answer;
  }

  async function attempt(appId: string, direction: Direction): Promise<ClaimResult | Undecided> {
    const { leaseId } = ownership;
    if (leaseId === null || !ownership.mayPost()) return counted('lost', leaseLost);
    const startedMs = clock.monotonic();
    const claimId = unanswered.get(appId) ?? claimIdOf(leaseId, claimCount++);
    // Forgetting them costs some apps an interval, where their lost claims were made after all.
    if (unanswered.size >= unansweredLimit) unanswered.clear();
    unanswered.set(appId, claimId);
    let outcome: ClaimOutcome;
    try {
      outcome = await store.claim({ appId, direction, claimId, intervalMs });
    } catch (error) {
      repeated.error('claim-failed', error, { appId });
      return isRefusal(error) ? 'impossible' : 'no-answer';
    }
    // A process that was frozen here holds a claim that others may have waited out.
    if (clock.monotonic() - startedMs > claimDeadlineMs) return 'no-answer';
    if (outcome.granted && !ownership.mayPost()) return counted('lost', leaseLost);
    unanswered.delete(appId);
    return outcome.granted ? counted('won', { granted: true }) : counted('lost', refusal(outcome, direction));
  }

  function refusal(outcome: ClaimOutcome & { granted: false }, direction: Direction): ClaimResult {
    const { coolDownMs, ignoredOutMs, ignoredInMs } = outcome.blocks;
    const ignoredMs = direction === 'out' ? ignoredOutMs : ignoredInMs;
    const nowMs = clock.now();
    if (coolDownMs > 0) return { granted: false, reason: 'cooling-down', untilMs: nowMs + coolDownMs };
    if (outcome.postedMs > 0) {
      return { granted: false, reason: 'posted-elsewhere', untilMs: nowMs + outcome.postedMs };
    }
    if (ignoredMs > 0) return { granted: false, reason: 'at-limit-backoff', untilMs: nowMs + ignoredMs };
    return { granted: false, reason: 'posted-elsewhere', untilMs: nowMs + intervalMs };
  }

  async function claim(appId: string, direction: Direction): Promise<ClaimResult> {
    const first = await attempt(appId, direction);
    if (typeof first !== 'string') return first;
    // Silence may mean that the database is away, or that others own the app by now. A renewal tells, and then a
    // second attempt is worth its time: the next cycle of this app may be far.
    if (!(await ownership.confirmLease()) || !ownership.owns(appId)) return counted('undecided', leaseLost);
    const second = await attempt(appId, direction);
    if (typeof second !== 'string') return second;
    if (second === 'no-answer' || !ownership.mayPost()) return counted('undecided', leaseLost);
    unanswered.delete(appId);
    repeated.error('posted-without-claim', new Error('the database renews leases but cannot make claims'), {
      appId,
      remedy: 'create the table eventgenerator_trigger and let this user select, insert, update and delete',
    });
    return counted('skipped', { granted: true });
  }

  /** Whoever claims cleans up, now and then. */
  function prune(): void {
    const nowMs = clock.monotonic();
    if (nowMs - prunedMs < pruneEveryMs) return;
    prunedMs = nowMs;
    store.prune().catch((error: unknown) => logger.debug('prune-failed', { error: String(error) }));
  }

  return {
    async claim(appId, direction) {
      if (deciding.has(appId)) return counted('lost', { granted: false, reason: 'posted-elsewhere' });
      deciding.add(appId);
      try {
        return await claim(appId, direction);
      } finally {
        deciding.delete(appId);
        prune();
      }
    },

    complete: (appId, direction, answer) => settlements.complete(appId, direction, answer),
    stop: () => settlements.stop(),

    async readCoolDowns(appIds) {
      const blocks = await store.readBlocks(appIds);
      const nowMs = clock.now();
      const until = (forMs: number) => (forMs > 0 ? nowMs + forMs : null);
      return new Map(
        [...blocks].map(([appId, { coolDownMs, ignoredOutMs, ignoredInMs }]) => [
          appId,
          {
            coolDownUntilMs: until(coolDownMs),
            ignoredOutUntilMs: until(ignoredOutMs),
            ignoredInUntilMs: until(ignoredInMs),
          },
        ]),
      );
    },
  };
}

/** SQLSTATE class 42: the statement itself is refused, and was not executed. */
function isRefusal(error: unknown): boolean {
  return errorCode(error).startsWith('42');
}
