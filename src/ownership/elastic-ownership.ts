import { sleep } from '../util/clock.js';
import { offsetAfter, ownTime } from './database-time.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { LeaseHolder, type LeaseHolderOptions } from './lease-holder.js';
import { createLeaseIds, type LeaseIds } from './lease-id.js';
import {
  leaseFailed,
  leaseGivenBack,
  leaseLeft,
  leaseRejected,
  leaseRenewed,
  mayPost,
  nextAttemptMs,
  ownedSinceMs,
  ownsApp,
  stateAt,
  type MemberState,
} from './lease.js';
import type { LeaseList, MemberStore } from './member-store.js';
import type { Ownership, OwnershipChange } from './ownership.js';
import { lateReleaseMs, leaveAttempts, renewEveryMs } from './timing.js';

export interface ElasticOwnershipOptions extends LeaseHolderOptions {
  readonly store: Pick<MemberStore, 'join' | 'renew' | 'leave' | 'remove'>;
  /** For display. */
  readonly instance: { readonly guid: string; readonly index: number };
  /** How many apps this member collects now; written with each renewal, for display. */
  readonly appsOwned: () => number;
  readonly metrics: LeaseHolderOptions['metrics'] & Pick<Metrics, 'leaseRenewals'>;
  readonly leaseIds?: LeaseIds;
  /** 0 ≤ random() < 1 */
  readonly random?: () => number;
}

/**
 * Shares apps with all other members that renew their leases in the same table. One loop asks the database every two
 * seconds, and when a lease may have ended; lease.ts decides what the responses mean. Listeners are also called for a new
 * lease: what had to be held back without one may be posted now.
 */
export class ElasticOwnership implements Ownership {
  readonly #options: ElasticOwnershipOptions;
  readonly #repeated: RepeatedEvents;
  readonly #leaseIds: LeaseIds;
  readonly #holder: LeaseHolder;
  readonly #stopped = new AbortController();
  #isFailing = false;
  #loop: Promise<void> | undefined;
  /** Set during an attempt to join, which must end before the lease can be given back. */
  #joining: Promise<unknown> | undefined;
  #leaving: Promise<void> | undefined;
  #confirmations: ((holds: boolean) => void)[] = [];

  constructor(options: ElasticOwnershipOptions) {
    this.#options = { ...options, logger: options.logger.child('ownership') };
    this.#repeated = new RepeatedEvents(this.#options);
    this.#holder = new LeaseHolder(this.#options);
    this.#leaseIds = options.leaseIds ?? createLeaseIds();
  }

  get state(): MemberState {
    return stateAt(this.#holder.lease, this.#nowMs());
  }

  /** The lease held now or last; null before the first. */
  get leaseId(): string | null {
    return this.#holder.lease.leaseId;
  }

  /** Sorted ids of the members that share the apps; empty while unknown. */
  get members(): readonly string[] {
    return this.#holder.lease.view?.members ?? [];
  }

  isUp(): boolean {
    return this.state === 'member';
  }

  owns(appId: string): boolean {
    return ownsApp(this.#holder.lease, appId, this.#nowMs());
  }

  ownedSinceMs(appId: string): number | null {
    return ownedSinceMs(this.#holder.lease, appId);
  }

  onChange(listener: (change: OwnershipChange) => void): void {
    this.#holder.onChange(listener);
  }

  /** Whether a claimed trigger may be posted now. Ask again after every wait. */
  mayPost(): boolean {
    return mayPost(this.#holder.lease, this.#nowMs());
  }

  /** Begins to join. Idempotent. */
  start(): void {
    if (!this.#stopped.signal.aborted && this.#leaving === undefined) this.#loop ??= this.#run();
  }

  /** Whether a renewal that is sent after this call finds that the lease holds. Resolves within two renewals. */
  confirmLease(): Promise<boolean> {
    if (this.#loop === undefined || this.#leaving !== undefined || this.#stopped.signal.aborted) {
      return Promise.resolve(false);
    }
    return new Promise((resolve) => this.#confirmations.push(resolve));
  }

  /**
   * Gives the lease back, goes on owning until the others take over, then owns nothing. Resolves within 6.5 s,
   * also while the database is away. Never rejects; idempotent.
   */
  leave(): Promise<void> {
    return (this.#leaving ??= this.#giveBack());
  }

  /**
   * Stops at once, without notifying the others; a response still to come is ignored. Idempotent. `leftMs`: when this
   * member ceased to own anything, by default now; monotonic.
   */
  close(leftMs = this.#nowMs()): void {
    this.#stopped.abort();
    this.#holder.become(leaseLeft(this.#holder.lease), leftMs);
  }

  #nowMs(): number {
    return this.#options.clock.monotonic();
  }

  async #run(): Promise<void> {
    const { clock, random = Math.random } = this.#options;
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const startedMs = this.#nowMs();
      const asked = this.#confirmations.splice(0);
      const isDue = await this.#attempt(startedMs);
      const holds = this.state === 'member' && this.#holder.lease.renewedMs === startedMs;
      for (const confirm of asked) confirm(holds);
      if (isDue) continue;
      const everyMs = renewEveryMs * (1 - 0.1 * random());
      const nextMs = nextAttemptMs(this.#holder.lease, startedMs, everyMs);
      await sleep(clock, nextMs - this.#nowMs(), signal);
    }
    for (const confirm of this.#confirmations.splice(0)) confirm(false);
  }

  /** Joins or renews once. Returns whether the next attempt is due at once. */
  async #attempt(startedMs: number): Promise<boolean> {
    const { store, metrics, appsOwned } = this.#options;
    const { lease } = this.#holder;
    const state = stateAt(lease, startedMs);
    // A leaving member still has to hear of other members: it may own some of their apps for a second more.
    const renews = state === 'member' || state === 'leaving';
    const leaseId = renews && lease.leaseId !== null ? lease.leaseId : this.#leaseIds.next();
    try {
      const living = renews ? await store.renew(leaseId, appsOwned()) : await this.#join(leaseId);
      const endedMs = this.#nowMs();
      if (living === null) {
        metrics.leaseRenewals.inc({ result: 'refused' });
        this.#holder.become(leaseRejected(this.#holder.lease, endedMs), endedMs);
        return this.#holder.lease.state === 'lost';
      }
      const next = leaseRenewed(this.#holder.lease, { leaseId, startedMs, endedMs }, living);
      metrics.leaseRenewals.inc({ result: next.renewedMs === startedMs ? 'answered' : 'late' });
      this.#isFailing = false;
      this.#holder.become(next, endedMs);
      // The others count a lease from its first renewal on, and should hear of it well before its switch.
      return !renews && next.state === 'member';
    } catch (error) {
      this.#failed(startedMs, error);
      return false;
    }
  }

  #failed(startedMs: number, error: unknown): void {
    const { logger, metrics } = this.#options;
    metrics.leaseRenewals.inc({ result: 'failed' });
    // The first failure of a series says why; the state that follows from the series has a line of its own.
    if (this.#isFailing) logger.debug('renewal-failed', { error: String(error) });
    else this.#repeated.error('renewal-failed', error, { leaseId: this.leaseId });
    this.#isFailing = true;
    const endedMs = this.#nowMs();
    this.#holder.become(leaseFailed(this.#holder.lease, { startedMs, endedMs }), endedMs);
  }

  async #join(leaseId: string): Promise<LeaseList> {
    const { store, instance } = this.#options;
    const response = store.join({
      leaseId,
      lowestLeaseId: this.#leaseIds.lowest,
      instanceGuid: instance.guid,
      instanceIndex: instance.index,
    });
    this.#joining = response.catch(() => {});
    try {
      return await response;
    } finally {
      this.#joining = undefined;
    }
  }

  async #giveBack(): Promise<void> {
    const { clock, store } = this.#options;
    // A join that arrived afterwards would leave a lease that nobody holds.
    await this.#joining;
    const atMs = this.#nowMs();
    const isMember = this.state === 'member';
    this.#holder.become(leaseGivenBack(this.#holder.lease, atMs), atMs);
    if (!isMember) this.#stopped.abort();
    const leavesMs = this.#loop ? await this.#announceLeave() : null;
    // Others count on this member only if it has a lease and they know when it leaves.
    if (isMember && leavesMs !== null) {
      await sleep(clock, leavesMs + lateReleaseMs - this.#nowMs());
      this.close(leavesMs);
    } else {
      this.close();
    }
    // Only tidies up: nobody counts on the row any more.
    if (leavesMs !== null) await store.remove(this.#leaseIds.lowest, this.#leaseIds.highest).catch(() => {});
  }

  /** Returns the own monotonic ms at which the others take over; null if the database did not answer. */
  async #announceLeave(): Promise<number | null> {
    for (let attempts = 1; attempts <= leaveAttempts; attempts++) {
      const startedMs = this.#nowMs();
      try {
        const { lowest, highest } = this.#leaseIds;
        const { databaseMs, leavesInMs } = await this.#options.store.leave(lowest, highest);
        const reading = { startedMs, endedMs: this.#nowMs(), databaseMs };
        return ownTime(offsetAfter(this.#holder.lease.offset, reading), databaseMs) + leavesInMs;
      } catch (error) {
        const remedy = 'none needed, the lease runs out by itself';
        this.#repeated.error('leave-failed', error, { attempts, remedy });
      }
    }
    return null;
  }
}
