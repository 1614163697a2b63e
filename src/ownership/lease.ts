import { memberOf } from './lease-id.js';
import { createView, type View } from './rendezvous.js';
import {
  leaseMs,
  leaveAttempts,
  leaveDeadlineMs,
  leaveGraceMs,
  localLeaseMs,
  rejoinPatienceMs,
  renewDeadlineMs,
} from './timing.js';

/**
 * Where a member stands.
 * - `joining`: never had a lease; owns nothing
 * - `member`: its lease holds; owns its share and may post
 * - `lost`: its lease has run out; goes on owning what it last owned, so that its histories have no hole, but posts nothing
 * - `leaving`: gave its lease back; owns its share until the others have taken over, and may post by a claim
 * - `left`: owns nothing, for good
 */
export const memberStates = ['joining', 'member', 'lost', 'leaving', 'left'] as const;
export type MemberState = (typeof memberStates)[number];

/** What one member knows of itself. All times are its own monotonic milliseconds; changed by the functions below only. */
export interface Lease {
  /** As of the last event; what the clock makes of it since says `stateAt`. */
  readonly state: MemberState;
  /** The lease held now or last; null before the first. */
  readonly leaseId: string | null;
  /** The view in force; null before the first. */
  readonly view: View | null;
  /** Start of the last attempt whose answer counted. */
  readonly renewedMs: number;
  /** Nothing may be posted from this moment on. */
  readonly postUntilMs: number;
  /** Until then a view in which members of the old one are missing does not replace it. */
  readonly viewHeldUntilMs: number;
  /** End of the last attempt, whatever became of it. Attempts end every few seconds in a process that is not frozen. */
  readonly attemptedMs: number;
}

/** One attempt to join or to renew. */
export interface Attempt {
  readonly leaseId: string;
  readonly startedMs: number;
  readonly endedMs: number;
}

export const noLease: Lease = {
  state: 'joining',
  leaseId: null,
  view: null,
  renewedMs: -Infinity,
  postUntilMs: -Infinity,
  viewHeldUntilMs: -Infinity,
  attemptedMs: -Infinity,
};

/** The database answered: the lease holds, and these are all living ones. */
export function leaseAnswered(lease: Lease, attempt: Attempt, livingLeaseIds: readonly string[]): Lease {
  if (isOver(lease)) return lease;
  if (attempt.endedMs - attempt.startedMs > renewDeadlineMs) return leaseFailed(lease, attempt);
  const hasRejoined = lease.view !== null && attempt.leaseId !== lease.leaseId;
  const viewHeldUntilMs = hasRejoined ? attempt.startedMs + rejoinPatienceMs : lease.viewHeldUntilMs;
  const seen = createView(livingLeaseIds.map(memberOf));
  const keepsView = lease.view && attempt.startedMs < viewHeldUntilMs && isMissingMembers(seen, lease.view);
  return {
    state: 'member',
    leaseId: attempt.leaseId,
    view: keepsView ? lease.view : seen,
    renewedMs: attempt.startedMs,
    postUntilMs: attempt.startedMs + localLeaseMs,
    viewHeldUntilMs,
    attemptedMs: attempt.endedMs,
  };
}

/** The database answered: there is no such lease any more. */
export function leaseRefused(lease: Lease, endedMs: number): Lease {
  if (isOver(lease)) return lease;
  return { ...lease, state: 'lost', postUntilMs: -Infinity, attemptedMs: endedMs };
}

/** No answer, or none in time: nothing is known but that time has passed, perhaps in a frozen process. */
export function leaseFailed(lease: Lease, { startedMs, endedMs }: Omit<Attempt, 'leaseId'>): Lease {
  if (isOver(lease)) return lease;
  const wasFrozen = endedMs - startedMs > leaseMs;
  return {
    ...lease,
    state: stateAt(lease, endedMs),
    attemptedMs: wasFrozen ? lease.attemptedMs : endedMs,
  };
}

/** Called before the row is removed, so that the right to post ends even if this process is frozen meanwhile. */
export function leaseGivenBack(lease: Lease, nowMs: number): Lease {
  if (isOver(lease)) return lease;
  const graceEndsMs = nowMs + leaveAttempts * leaveDeadlineMs + leaveGraceMs;
  return { ...lease, state: 'leaving', postUntilMs: Math.min(lease.postUntilMs, graceEndsMs) };
}

export function leaseLeft(lease: Lease): Lease {
  return { ...lease, state: 'left', postUntilMs: -Infinity };
}

/** The state that counts: a lease runs out by the clock, whether or not anyone was awake to notice. */
export function stateAt(lease: Lease, nowMs: number): MemberState {
  return lease.state === 'member' && nowMs >= lease.postUntilMs ? 'lost' : lease.state;
}

/** Whether a trigger that was claimed may be posted now. */
export function mayPost(lease: Lease, nowMs: number): boolean {
  return (lease.state === 'member' || lease.state === 'leaving') && nowMs < lease.postUntilMs;
}

/**
 * Where no attempt has ended for as long as a lease lasts, this process was frozen: others own its apps by now, and
 * until it has asked the database once, it owns nothing. (One that asks in vain goes on: perhaps nobody can take over.)
 */
export function ownsApp(lease: Lease, appId: string, nowMs: number): boolean {
  if (lease.view === null || lease.leaseId === null || lease.state === 'left') return false;
  if (nowMs - lease.attemptedMs > leaseMs) return false;
  return lease.view.ownerOf(appId) === memberOf(lease.leaseId);
}

/**
 * Where the database was away for longer than a lease, all members rejoin, one after the other, and the first would
 * own everything for a moment. So who rejoins and misses others keeps its old view for as long as they may take to
 * return. Where only this member was cut off or frozen, nobody is missing and the new view counts at once.
 */
function isMissingMembers(seen: View, old: View): boolean {
  return old.members.some((member) => !seen.members.includes(member));
}

function isOver(lease: Lease): boolean {
  return lease.state === 'leaving' || lease.state === 'left';
}
