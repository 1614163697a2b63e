import { errorCode } from '../util/errors.js';
import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import type { Direction } from '../policy/policy.js';
import type { ClaimPauses, ClaimResult, Claims } from './claims.js';
import { claimIdOf } from './lease-id.js';
import type { ElasticOwnership } from './elastic-ownership.js';
import { ClaimCompletions } from './claim-completions.js';
import { claimDeadlineMs, pruneEveryMs } from './timing.js';
import type { Blocks, ClaimOutcome, TriggerStore } from './trigger-store.js';

/** Until when an app is held back, as far as members have told each other. Wall-clock ms; null: it is not. */
export interface KnownCoolDown {
  readonly coolDownUntilMs: number | null;
  readonly ignoredOutUntilMs: number | null;
  readonly ignoredInUntilMs: number | null;
}

/** What blocks that were read now mean; undefined: there are none. */
export function pausesOf(blocks: Blocks | undefined, nowMs: number): KnownCoolDown {
  const until = (forMs = 0) => (forMs > 0 ? nowMs + forMs : null);
  return {
    coolDownUntilMs: until(blocks?.coolDownMs),
    ignoredOutUntilMs: until(blocks?.ignoredOutMs),
    ignoredInUntilMs: until(blocks?.ignoredInMs),
  };
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
export class ElasticClaims implements Claims {
  readonly #options: ElasticClaimsOptions;
  readonly #repeated: RepeatedEvents;
  readonly #completions: ClaimCompletions;
  /** App id to the id of a claim that may have been made although no response came. */
  readonly #unanswered = new Map<string, string>();
  /** Apps whose claim is being decided: two claims of one process must not share an id. */
  readonly #deciding = new Set<string>();
  #claimCount = 0;
  #prunedMs = -Infinity;

  constructor(options: ElasticClaimsOptions) {
    this.#options = { ...options, logger: options.logger.child('claims') };
    this.#repeated = new RepeatedEvents(this.#options);
    const { ownership } = options;
    this.#completions = new ClaimCompletions({
      ...this.#options,
      nextClaimId: () =>
        ownership.leaseId === null ? null : claimIdOf(ownership.leaseId, this.#claimCount++),
    });
  }

  async claim(appId: string, direction: Direction): Promise<ClaimResult> {
    if (this.#deciding.has(appId)) {
      return this.#counted('lost', { granted: false, reason: 'posted-elsewhere' });
    }
    this.#deciding.add(appId);
    try {
      return await this.#claim(appId, direction);
    } finally {
      this.#deciding.delete(appId);
      this.#prune();
    }
  }

  complete(appId: string, direction: Direction, pauses: ClaimPauses): Promise<void> {
    return this.#completions.complete(appId, direction, pauses);
  }

  /** Records what still waits for the database, if that is quick. Idempotent; never rejects. */
  stop(): Promise<void> {
    return this.#completions.stop();
  }

  /** For apps that this member has come to own; one statement for all. Rejects when the database does not answer. */
  async readCoolDowns(appIds: readonly string[]): Promise<ReadonlyMap<string, KnownCoolDown>> {
    const blocks = await this.#options.store.readBlocks(appIds);
    const nowMs = this.#options.clock.now();
    return new Map([...blocks].map(([appId, held]) => [appId, pausesOf(held, nowMs)]));
  }

  async #claim(appId: string, direction: Direction): Promise<ClaimResult> {
    const { ownership } = this.#options;
    const first = await this.#attempt(appId, direction);
    if (typeof first !== 'string') return first;
    // No response may mean that the database is away, or that others own the app by now. A renewal tells which, and
    // then a second attempt is worth its time: the next cycle of this app may be far off.
    if (!(await ownership.confirmLease()) || !ownership.owns(appId)) {
      return this.#counted('undecided', leaseLost);
    }
    const second = await this.#attempt(appId, direction);
    if (typeof second !== 'string') return second;
    if (second === 'no-answer' || !ownership.mayPost()) return this.#counted('undecided', leaseLost);
    this.#unanswered.delete(appId);
    const error = new Error('the database renews leases but cannot make claims');
    const remedy =
      'run `eventgenerator migrate` as a user who may, and let this one select, insert, update and delete there';
    this.#repeated.error('posted-without-claim', error, { appId, remedy });
    return this.#counted('skipped', { granted: true });
  }

  async #attempt(appId: string, direction: Direction): Promise<ClaimResult | Undecided> {
    const { clock, store, ownership, intervalMs } = this.#options;
    const { leaseId } = ownership;
    if (leaseId === null || !ownership.mayPost()) return this.#counted('lost', leaseLost);
    const startedMs = clock.monotonic();
    const claimId = this.#unanswered.get(appId) ?? claimIdOf(leaseId, this.#claimCount++);
    // Forgetting them costs an interval for those apps whose claims were made after all.
    if (this.#unanswered.size >= unansweredLimit) this.#unanswered.clear();
    this.#unanswered.set(appId, claimId);
    let outcome: ClaimOutcome;
    try {
      outcome = await store.claim({ appId, direction, claimId, intervalMs });
    } catch (error) {
      this.#repeated.error('claim-failed', error, { appId });
      return isRejected(error) ? 'impossible' : 'no-answer';
    }
    // A process that was frozen here has a claim that other members may have waited out.
    if (clock.monotonic() - startedMs > claimDeadlineMs) return 'no-answer';
    if (outcome.granted && !ownership.mayPost()) return this.#counted('lost', leaseLost);
    this.#unanswered.delete(appId);
    if (outcome.granted) return this.#counted('won', { granted: true });
    return this.#counted('lost', reasonOf(outcome, direction, clock.now(), intervalMs));
  }

  #counted(result: Counted, claimResult: ClaimResult): ClaimResult {
    this.#options.metrics.claims.inc({ result });
    return claimResult;
  }

  /** Every member removes old rows now and then. */
  #prune(): void {
    const { clock, logger, store } = this.#options;
    const nowMs = clock.monotonic();
    if (nowMs - this.#prunedMs < pruneEveryMs) return;
    this.#prunedMs = nowMs;
    store.prune().catch((error: unknown) => logger.debug('prune-failed', { error: String(error) }));
  }
}

function reasonOf(
  { blocks, postedMs }: ClaimOutcome & { granted: false },
  direction: Direction,
  nowMs: number,
  intervalMs: number,
): ClaimResult {
  const { coolDownMs } = blocks;
  const ignoredMs = direction === 'out' ? blocks.ignoredOutMs : blocks.ignoredInMs;
  if (coolDownMs > 0) return { granted: false, reason: 'cooling-down', untilMs: nowMs + coolDownMs };
  if (postedMs > 0) return { granted: false, reason: 'posted-elsewhere', untilMs: nowMs + postedMs };
  if (ignoredMs > 0) return { granted: false, reason: 'at-limit-backoff', untilMs: nowMs + ignoredMs };
  return { granted: false, reason: 'posted-elsewhere', untilMs: nowMs + intervalMs };
}

/** SQLSTATE class 42: the database rejected the statement itself and did not execute it. */
function isRejected(error: unknown): boolean {
  return errorCode(error).startsWith('42');
}
