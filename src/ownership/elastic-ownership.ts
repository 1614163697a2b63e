import { sleep, type Clock } from '../clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { createLeaseIds, type LeaseIds } from './lease-id.js';
import {
  leaseAnswered,
  leaseFailed,
  leaseGivenBack,
  leaseLeft,
  leaseRefused,
  mayPost,
  memberStates,
  noLease,
  ownsApp,
  stateAt,
  type Lease,
  type MemberState,
} from './lease.js';
import type { MemberStore } from './member-store.js';
import type { Ownership } from './ownership.js';
import { isSameView } from './rendezvous.js';
import { leaveAttempts, leaveGraceMs, renewEveryMs } from './timing.js';

export interface ElasticOwnershipDeps {
  readonly clock: Clock;
  readonly store: Pick<MemberStore, 'join' | 'renew' | 'leave'>;
  /** For display. */
  readonly instance: { readonly guid: string; readonly index: number };
  /** How many apps this member collects now; written with each renewal, for display. */
  readonly appsOwned: () => number;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'members' | 'memberState' | 'leaseAgeSeconds' | 'leaseRenewals'>;
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
   * Gives the lease back, goes on owning until the others have taken over, then owns nothing. Resolves within 6.5 s,
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
export function createElasticOwnership(deps: ElasticOwnershipDeps): ElasticOwnership {
  const { clock, store, instance, metrics } = deps;
  const logger = deps.logger.child('ownership');
  const leaseIds = deps.leaseIds ?? createLeaseIds();
  const random = deps.random ?? Math.random;
  const listeners: (() => void)[] = [];
  const stopped = new AbortController();
  let lease: Lease = noLease;
  let failing = false;
  let loop: Promise<void> | undefined;
  /** Set while an attempt to join is under way: it must end before the lease can be given back. */
  let joining: Promise<unknown> | undefined;
  let leaving: Promise<void> | undefined;
  let confirmations: ((holds: boolean) => void)[] = [];

  /** The one place where the own state changes: logs, counts and tells whoever listens. */
  function become(next: Lease): void {
    const before = lease;
    lease = next;
    metrics.members.set(next.view?.members.length ?? 0);
    for (const state of memberStates) metrics.memberState.set({ state }, state === next.state ? 1 : 0);
    const now = clock.monotonic();
    metrics.leaseAgeSeconds.set(next.leaseId === null ? -1 : (now - next.renewedMs) / 1000);
    if (next.state !== before.state) {
      logger.info(next.state, { leaseId: next.leaseId, was: before.state });
    }
    if (!isSameView(before.view, next.view)) {
      const old = before.view?.members ?? [];
      const members = next.view?.members ?? [];
      logger.info('members-changed', {
        members: members.length,
        came: members.filter((member) => !old.includes(member)),
        went: old.filter((member) => !members.includes(member)),
      });
    }
    const hasNewLease = next.state === 'member' && next.leaseId !== before.leaseId;
    const hasLeft = next.state === 'left' && before.state !== 'left';
    if (!isSameView(before.view, next.view) || hasNewLease || hasLeft) notify();
  }

  function notify(): void {
    for (const listener of listeners) {
      try {
        listener();
      } catch (error) {
        // A renewal that is not made costs this member its lease: no listener is worth that.
        logger.error('listener-failed', error);
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
    const isMember = stateAt(lease, startedMs) === 'member';
    const leaseId = isMember && lease.leaseId !== null ? lease.leaseId : leaseIds.next();
    try {
      const living = isMember ? await store.renew(leaseId, deps.appsOwned()) : await join(leaseId);
      const endedMs = clock.monotonic();
      if (living === null) {
        metrics.leaseRenewals.inc({ result: 'refused' });
        become(leaseRefused(lease, endedMs));
        return true;
      }
      const next = leaseAnswered(lease, { leaseId, startedMs, endedMs }, living);
      metrics.leaseRenewals.inc({ result: next.renewedMs === startedMs ? 'answered' : 'late' });
      failing = false;
      become(next);
      // Only the first renewal makes the lease count for the others: when they let go of apps, we own them already.
      return !isMember && next.state === 'member';
    } catch (error) {
      metrics.leaseRenewals.inc({ result: 'failed' });
      // The first of a series says why; the state that follows from the series is logged by itself.
      if (failing) logger.debug('renewal-failed', { error: String(error) });
      else logger.error('renewal-failed', error, { leaseId: lease.leaseId });
      failing = true;
      become(leaseFailed(lease, { startedMs, endedMs: clock.monotonic() }));
    }
    return false;
  }

  async function join(leaseId: string): Promise<readonly string[]> {
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
    stopped.abort();
    // A join that arrived after the removal would leave a lease that nobody holds.
    await joining;
    const isMember = stateAt(lease, clock.monotonic()) === 'member';
    become(leaseGivenBack(lease, clock.monotonic()));
    if (loop) await removeLeases();
    if (isMember) await sleep(clock, leaveGraceMs);
    become(leaseLeft(lease));
  }

  async function removeLeases(): Promise<void> {
    for (let attempts = 1; attempts <= leaveAttempts; attempts++) {
      try {
        return await store.leave(leaseIds.lowest, leaseIds.highest);
      } catch (error) {
        logger.error('leave-failed', error, {
          attempts,
          remedy: 'none needed, the lease runs out by itself',
        });
      }
    }
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
      if (stopped.signal.aborted) return;
      loop ??= run();
    },
    isUp: () => stateAt(lease, clock.monotonic()) === 'member',
    owns: (appId) => ownsApp(lease, appId, clock.monotonic()),
    onChange: (listener) => void listeners.push(listener),
    mayPost: () => mayPost(lease, clock.monotonic()),
    confirmLease() {
      if (loop === undefined || stopped.signal.aborted) return Promise.resolve(false);
      return new Promise((resolve) => confirmations.push(resolve));
    },
    leave: () => (leaving ??= giveBack()),
    close() {
      stopped.abort();
      become(leaseLeft(lease));
    },
  };
}
