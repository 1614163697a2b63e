import { memberOf } from './lease-id.js';
import { createView, isSameView, type View } from './rendezvous.js';
import {
  createRoster,
  emptyRoster,
  lastSwitchMs,
  membersAt,
  nextSwitchMs,
  type LivingLease,
  type Roster,
} from './roster.js';
import {
  leaseMs,
  leaveAttempts,
  leaveDeadlineMs,
  lateReleaseMs,
  localLeaseMs,
  rejoinDeadlineMs,
  renewDeadlineMs,
  switchAfterMs,
  switchGridMs,
} from './timing.js';

/**
 * Where a member stands.
 * - `joining`: never had a lease; owns nothing
 * - `member`: its lease holds; owns its share, from its turn on, and may post
 * - `lost`: its lease has run out; goes on owning what it last owned, so that its histories have no hole, but posts nothing
 * - `leaving`: gives its lease back; owns its share until the others take over, and may post by a claim
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
  /** Who counts when, by the last answer. */
  readonly roster: Roster;
  /** The view in force; null before the first. */
  readonly view: View | null;
  /** Since when it should have been in force, however late a busy process came to it. */
  readonly viewSinceMs: number;
  /** The view before: what it says is ours is only let go of when this time has come. */
  readonly outgoing: { readonly view: View; readonly untilMs: number } | null;
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
  roster: emptyRoster,
  view: null,
  viewSinceMs: -Infinity,
  outgoing: null,
  renewedMs: -Infinity,
  postUntilMs: -Infinity,
  viewHeldUntilMs: -Infinity,
  attemptedMs: -Infinity,
};

/** The database answered: the lease holds, and these are all living ones, in the order of a roster. */
export function leaseRenewed(lease: Lease, attempt: Attempt, living: readonly LivingLease[]): Lease {
  const { leaseId, startedMs, endedMs } = attempt;
  if (lease.state === 'left') return lease;
  if (endedMs - startedMs > renewDeadlineMs) return leaseFailed(lease, attempt);
  const roster = createRoster(living, (startedMs + endedMs) / 2);
  if (lease.state === 'leaving') return leaseSwitched({ ...lease, roster, attemptedMs: endedMs }, endedMs);
  const hasRejoined = lease.view !== null && leaseId !== lease.leaseId;
  const answered: Lease = {
    ...lease,
    state: 'member',
    leaseId,
    roster,
    renewedMs: startedMs,
    postUntilMs: startedMs + localLeaseMs,
    viewHeldUntilMs: hasRejoined ? startedMs + rejoinDeadlineMs : lease.viewHeldUntilMs,
    attemptedMs: endedMs,
  };
  const turned = leaseSwitched(answered, endedMs);
  // Whose apps others have taken over has nothing to let go of slowly.
  return hasRejoined ? { ...turned, outgoing: null } : turned;
}

/** Puts in force who counts at this moment. To be called when `nextChangeMs` has come. */
export function leaseSwitched(lease: Lease, nowMs: number): Lease {
  if (lease.state === 'left') return lease;
  const outgoing = lease.outgoing && nowMs < lease.outgoing.untilMs ? lease.outgoing : null;
  const seen = createView(membersAt(lease.roster, nowMs));
  const isHeld = nowMs < lease.viewHeldUntilMs && isMissingOthers(lease, seen);
  if (seen.members.length === 0 || isHeld || isSameView(seen, lease.view)) return { ...lease, outgoing };
  return {
    ...lease,
    view: seen,
    viewSinceMs: lastSwitchMs(lease.roster, nowMs),
    outgoing: lease.view && { view: lease.view, untilMs: nowMs + lateReleaseMs },
  };
}

/** When `leaseTurned` is due; Infinity where nothing is known to come. */
export function nextChangeMs({ state, roster, outgoing }: Lease, nowMs: number): number {
  if (state === 'left') return Infinity;
  return Math.min(nextSwitchMs(roster, nowMs), outgoing?.untilMs ?? Infinity);
}

/** The database answered: there is no such lease any more. */
export function leaseRejected(lease: Lease, endedMs: number): Lease {
  if (isOver(lease)) return lease;
  return { ...lease, state: 'lost', postUntilMs: -Infinity, attemptedMs: endedMs };
}

/** No answer, or none in time: nothing is known but that time has passed, perhaps in a frozen process. */
export function leaseFailed(lease: Lease, { startedMs, endedMs }: Omit<Attempt, 'leaseId'>): Lease {
  if (lease.state === 'left') return lease;
  const wasFrozen = endedMs - startedMs > leaseMs;
  return {
    ...lease,
    state: stateAt(lease, endedMs),
    attemptedMs: wasFrozen ? lease.attemptedMs : endedMs,
  };
}

/** Called before the others are told, so that the right to post ends even if this process is frozen meanwhile. */
export function leaseGivenBack(lease: Lease, nowMs: number): Lease {
  if (isOver(lease)) return lease;
  const latestMs = nowMs + leaveAttempts * leaveDeadlineMs + switchAfterMs + switchGridMs + lateReleaseMs;
  return { ...lease, state: 'leaving', postUntilMs: Math.min(lease.postUntilMs, latestMs) };
}

export function leaseLeft(lease: Lease): Lease {
  return { ...lease, state: 'left', outgoing: null, postUntilMs: -Infinity };
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
  const member = memberOf(lease.leaseId);
  if (lease.view.ownerOf(appId) === member) return true;
  const { outgoing } = lease;
  return outgoing !== null && nowMs < outgoing.untilMs && outgoing.view.ownerOf(appId) === member;
}

/**
 * Where the database was away for longer than a lease, all members rejoin, one after the other, and the first would
 * own everything for a moment. So who rejoins and misses others keeps its old view for as long as they may take to
 * return. Where only this member was cut off or frozen, nobody is missing and the new view counts at once.
 */
function isMissingOthers({ view, leaseId }: Lease, seen: View): boolean {
  if (view === null || leaseId === null) return false;
  return view.members.some((member) => member !== memberOf(leaseId) && !seen.members.includes(member));
}

function isOver(lease: Lease): boolean {
  return lease.state === 'leaving' || lease.state === 'left';
}
