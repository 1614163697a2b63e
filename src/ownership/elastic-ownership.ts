import { sleep, type Clock, type Timer } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { createLeaseIds, type LeaseIds } from './lease-id.js';
import {
  leaseRenewed,
  leaseFailed,
  leaseGivenBack,
  leaseLeft,
  leaseRejected,
  leaseSwitched,
  mayPost,
  memberStates,
  nextChangeMs,
  noLease,
  ownsApp,
  stateAt,
  type Lease,
  type MemberState,
} from './lease.js';
import type { MemberStore } from './member-store.js';
import type { Ownership, OwnershipChange } from './ownership.js';
import { isSameView } from './rendezvous.js';
import type { LivingLease } from './roster.js';
import { leaveAttempts, lateReleaseMs, renewEveryMs } from './timing.js';

export interface ElasticOwnershipOptions {
  readonly clock: Clock;
  readonly store: Pick<MemberStore, 'join' | 'renew' | 'leave' | 'remove'>;
  /** For display. */
  readonly instance: { readonly guid: string; readonly index: number };
  /** How many apps this member collects now; written with each renewal, for display. */
  readonly appsOwned: () => number;
  readonly logger: Logger;
  readonly metrics: Pick<
    Metrics,
    'members' | 'memberState' | 'leaseAgeSeconds' | 'leaseRenewals' | 'logLinesSuppressed'
  >;
  readonly leaseIds?: LeaseIds;
  /** 0 ≤ random() < 1 */
  readonly random?: () => number;
}

/** Its listeners are also called when it has a new lease: what it had to hold back without one may be posted now. */
export interface ElasticOwnership extends Ownership {
  readonly state: MemberState;
  /** The lease held now or last; null before the first. */
  readonly leaseId: string | null;
  /** Sorted ids of the members that share the apps; empty while unknown. */
  readonly members: readonly string[];
  /** Begins to join. Idempotent. */
  start(): void;
  /** Whether a claimed trigger may be posted now. Ask again after every wait. */
  mayPost(): boolean;
  /** Whether the lease holds by the answer to a renewal that was sent after this call; resolves within two renewals. */
  confirmLease(): Promise<boolean>;
  /**
   * Gives the lease back, goes on owning until the others take over, then owns nothing. Resolves within 6.5 s,
   * also while the database is away. Never rejects; idempotent.
   */
  leave(): Promise<void>;
  /** Stops at once, without telling the others; an answer still to come is ignored. Idempotent. */
  close(): void;
}

/**
 * Shares apps with all other members that renew their leases in the same table. One loop asks the database every two
 * seconds; what the answers mean is decided in lease.ts.
 */
export function createElasticOwnership(options: ElasticOwnershipOptions): ElasticOwnership {
  const { clock, store, instance, metrics } = options;
  const logger = options.logger.child('ownership');
  const repeated = new RepeatedEvents({ clock, logger, metrics });
  const leaseIds = options.leaseIds ?? createLeaseIds();
  const random = options.random ?? Math.random;
  const listeners: ((change: OwnershipChange) => void)[] = [];
  const stopped = new AbortController();
  let lease: Lease = noLease;
  let failing = false;
  let loop: Promise<void> | undefined;
  /** Set while an attempt to join is under way: it must end before the lease can be given back. */
  let joining: Promise<unknown> | undefined;
  let leaving: Promise<void> | undefined;
  let confirmations: ((holds: boolean) => void)[] = [];
  let turn: Timer | undefined;

  /** The one place where the own state changes: logs, counts and tells whoever listens. `atMs`: of what it was made. */
  function become(next: Lease, atMs: number): void {
    const before = lease;
    lease = next;
    metrics.members.set(next.view?.members.length ?? 0);
    for (const state of memberStates) metrics.memberState.set({ state }, state === next.state ? 1 : 0);
    const now = clock.monotonic();
    metrics.leaseAgeSeconds.set(next.leaseId === null ? -1 : (now - next.renewedMs) / 1000);
    // A lease also runs out while a process is frozen and nobody there to say so.
    const was = next.state === before.state ? stateAt(before, now) : before.state;
    if (next.state !== was) logger.info(next.state, { leaseId: next.leaseId, was });
    if (!isSameView(before.view, next.view)) {
      const old = before.view?.members ?? [];
      const members = next.view?.members ?? [];
      logger.info('members-changed', {
        members: members.length,
        came: members.filter((member) => !old.includes(member)),
        went: old.filter((member) => !members.includes(member)),
      });
    }
    // Not as of now: a change that came between atMs and now is still to come.
    turnAt(nextChangeMs(next, atMs));
    const hasNewLease = next.state === 'member' && next.leaseId !== before.leaseId;
    const hasLeft = next.state === 'left' && before.state !== 'left';
    const hasLetGo = before.outgoing !== null && next.outgoing !== before.outgoing;
    if (!isSameView(before.view, next.view) || hasNewLease || hasLeft || hasLetGo) {
      const letGoMs = hasLeft ? now - lateReleaseMs : hasLetGo ? next.viewSinceMs : -Infinity;
      notify({ sinceMs: next.view === before.view ? now : next.viewSinceMs, untilMs: letGoMs });
    }
  }

  function turnAt(changeMs: number): void {
    turn?.cancel();
    turn = undefined;
    if (changeMs === Infinity) return;
    turn = clock.setTimer(Math.max(0, changeMs - clock.monotonic()), () => {
      const atMs = clock.monotonic();
      become(leaseSwitched(lease, atMs), atMs);
    });
  }

  function notify(change: OwnershipChange): void {
    for (const listener of listeners) {
      try {
        listener(change);
      } catch (error) {
        // A renewal that is not made costs this member its lease: no listener is worth that.
        repeated.error('listener-failed', error);
      }
    }
  }

  async function run(): Promise<void> {
    while (!stopped.signal.aborted) {
      const startedMs = clock.monotonic();
      const asking = confirmations;
      confirmations = [];
      const isDue = await attempt(startedMs);
      const holds = stateAt(lease, clock.monotonic()) === 'member' && lease.renewedMs === startedMs;
      for (const answer of asking) answer(holds);
      if (isDue) continue;
      const everyMs = renewEveryMs * (1 - 0.1 * random());
      await sleep(clock, Math.max(0, startedMs + everyMs - clock.monotonic()), stopped.signal);
    }
    for (const answer of confirmations.splice(0)) answer(false);
  }

  /** Joins or renews once. Returns whether the next attempt is due at once. */
  async function attempt(startedMs: number): Promise<boolean> {
    const state = stateAt(lease, startedMs);
    // Who leaves still has to hear who comes and goes meanwhile: some apps may be its own for a second more.
    const renews = state === 'member' || state === 'leaving';
    const leaseId = renews && lease.leaseId !== null ? lease.leaseId : leaseIds.next();
    try {
      const living = renews ? await store.renew(leaseId, options.appsOwned()) : await join(leaseId);
      const endedMs = clock.monotonic();
      if (living === null) {
        metrics.leaseRenewals.inc({ result: 'refused' });
        become(leaseRejected(lease, endedMs), endedMs);
        return lease.state === 'lost';
      }
      const next = leaseRenewed(lease, { leaseId, startedMs, endedMs }, living);
      metrics.leaseRenewals.inc({ result: next.renewedMs === startedMs ? 'answered' : 'late' });
      failing = false;
      become(next, endedMs);
      // Only the first renewal makes the lease count for the others, who should hear of it well before its turn.
      return !renews && next.state === 'member';
    } catch (error) {
      metrics.leaseRenewals.inc({ result: 'failed' });
      // The first of a series says why; the state that follows from the series is logged by itself.
      if (failing) logger.debug('renewal-failed', { error: String(error) });
      else repeated.error('renewal-failed', error, { leaseId: lease.leaseId });
      failing = true;
      const endedMs = clock.monotonic();
      become(leaseFailed(lease, { startedMs, endedMs }), endedMs);
    }
    return false;
  }

  async function join(leaseId: string): Promise<readonly LivingLease[]> {
    const answer = store.join({
      leaseId,
      lowestLeaseId: leaseIds.lowest,
      instanceGuid: instance.guid,
      instanceIndex: instance.index,
    });
    joining = answer.catch(() => {});
    try {
      return await answer;
    } finally {
      joining = undefined;
    }
  }

  async function giveBack(): Promise<void> {
    // A join that arrived afterwards would leave a lease that nobody holds.
    await joining;
    const atMs = clock.monotonic();
    const isMember = stateAt(lease, atMs) === 'member';
    become(leaseGivenBack(lease, atMs), atMs);
    if (!isMember) stopped.abort();
    const leavesInMs = loop ? await announceLeave() : null;
    // Who has no lease has nothing that others could still count on; who could not tell has told nobody.
    if (isMember && leavesInMs !== null) await sleep(clock, leavesInMs + lateReleaseMs);
    become(leaseLeft(lease), clock.monotonic());
    stopped.abort();
    // For tidiness: nobody counts on the row any more.
    if (leavesInMs !== null) await store.remove(leaseIds.lowest, leaseIds.highest).catch(() => {});
  }

  /** Returns the ms until the others take over, or null where they could not be told. */
  async function announceLeave(): Promise<number | null> {
    for (let attempts = 1; attempts <= leaveAttempts; attempts++) {
      try {
        return await store.leave(leaseIds.lowest, leaseIds.highest);
      } catch (error) {
        repeated.error('leave-failed', error, {
          attempts,
          remedy: 'none needed, the lease runs out by itself',
        });
      }
    }
    return null;
  }

  return {
    get state() {
      return stateAt(lease, clock.monotonic());
    },
    get leaseId() {
      return lease.leaseId;
    },
    get members() {
      return lease.view?.members ?? [];
    },
    start() {
      if (stopped.signal.aborted || leaving !== undefined) return;
      loop ??= run();
    },
    isUp: () => stateAt(lease, clock.monotonic()) === 'member',
    owns: (appId) => ownsApp(lease, appId, clock.monotonic()),
    onChange: (listener) => void listeners.push(listener),
    mayPost: () => mayPost(lease, clock.monotonic()),
    confirmLease() {
      if (loop === undefined || leaving !== undefined || stopped.signal.aborted)
        return Promise.resolve(false);
      return new Promise((resolve) => confirmations.push(resolve));
    },
    leave: () => (leaving ??= giveBack()),
    close() {
      stopped.abort();
      become(leaseLeft(lease), clock.monotonic());
    },
  };
}
