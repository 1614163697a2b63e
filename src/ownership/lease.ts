import { offsetAfter, ownTime, type ClockOffset } from './database-time.js';
import { memberOf } from './lease-id.js';
import type { LeaseList } from './member-store.js';
import { createView, isSameView, type View } from './rendezvous.js';
import {
  createRoster,
  emptyRoster,
  lastSwitchMs,
  membersAt,
  nextExpiryMs,
  nextSwitchMs,
  type Roster,
} from './roster.js';
import {
  expiryMarginMs,
  leaseMs,
  leastPauseMs,
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
 * - `member`: its lease holds; owns its share, from its switch on, and may post
 * - `lost`: its lease has run out; goes on owning what it last owned, so that its histories have no hole, but posts nothing
 * - `leaving`: gives its lease back; owns its share until the others take over, and may post by a claim
 * - `left`: owns nothing, for good
 */
export const memberStates = ['joining', 'member', 'lost', 'leaving', 'left'] as const;
export type MemberState = (typeof memberStates)[number];

/** What one member knows of itself. All times are its own monotonic milliseconds; changed by the functions below only. */
export interface Lease {
  /** As of the last event. `stateAt` takes the time since then into account. */
  readonly state: MemberState;
  /** The lease held now or last; null before the first. */
  readonly leaseId: string | null;
  /** The difference between this member's clock and the database's; null before the first response. */
  readonly offset: ClockOffset | null;
  /** Who counts when, by the last response. */
  readonly roster: Roster;
  /** The view in force; null before the first. */
  readonly view: View | null;
  /** Since when it should have been in force; a busy process may have switched later. */
  readonly viewSinceMs: number;
  /** The last few views before this one, the newest first. */
  readonly past: readonly PastView[];
  /** The view before. Apps that were ours by it stay ours until this time. */
  readonly outgoing: { readonly view: View; readonly untilMs: number } | null;
  /** Start of the last attempt whose response counted. */
  readonly renewedMs: number;
  /** Nothing may be posted from this moment on. */
  readonly postUntilMs: number;
  /** Until then the view is not replaced by one that lacks some of its members. */
  readonly viewHeldUntilMs: number;
  /** End of the last attempt, also of a failed one. Attempts end every few seconds unless the process is frozen. */
  readonly attemptedMs: number;
}

/** A view that was in force, and since when. */
interface PastView {
  readonly view: View;
  readonly sinceMs: number;
}

/** How many are remembered: more than there are switches in one collection interval. */
const pastViews = 16;

/** One attempt to join or to renew. */
export interface Attempt {
  readonly leaseId: string;
  readonly startedMs: number;
  readonly endedMs: number;
}

export const noLease: Lease = {
  state: 'joining',
  leaseId: null,
  offset: null,
  roster: emptyRoster,
  view: null,
  viewSinceMs: -Infinity,
  past: [],
  outgoing: null,
  renewedMs: -Infinity,
  postUntilMs: -Infinity,
  viewHeldUntilMs: -Infinity,
  attemptedMs: -Infinity,
};

/** The database responded: the lease holds, and these are all living leases, in the order of a roster. */
export function leaseRenewed(lease: Lease, attempt: Attempt, { databaseMs, leases }: LeaseList): Lease {
  const { leaseId, startedMs, endedMs } = attempt;
  if (lease.state === 'left') return lease;
  if (endedMs - startedMs > renewDeadlineMs) return leaseFailed(lease, attempt);
  const offset = offsetAfter(lease.offset, { startedMs, endedMs, databaseMs });
  const roster = createRoster(leases, ownTime(offset, databaseMs));
  const heard = { ...lease, offset, roster, attemptedMs: endedMs };
  if (lease.state === 'leaving') return leaseSwitched(heard, endedMs);
  const hasRejoined = lease.view !== null && leaseId !== lease.leaseId;
  const renewed: Lease = {
    ...heard,
    state: 'member',
    leaseId,
    renewedMs: startedMs,
    postUntilMs: startedMs + localLeaseMs,
    viewHeldUntilMs: hasRejoined ? startedMs + rejoinDeadlineMs : lease.viewHeldUntilMs,
  };
  const switched = leaseSwitched(renewed, endedMs);
  // Others have taken over its apps already: there is nothing left to release late.
  return hasRejoined ? { ...switched, outgoing: null } : switched;
}

/** Switches to the members that count at this moment. To be called when `nextChangeMs` has come. */
export function leaseSwitched(lease: Lease, nowMs: number): Lease {
  if (lease.state === 'left') return lease;
  const outgoing = lease.outgoing && nowMs < lease.outgoing.untilMs ? lease.outgoing : null;
  const seen = createView(membersAt(lease.roster, nowMs));
  const isHeld = nowMs < lease.viewHeldUntilMs && isMissingOthers(lease, seen);
  if (seen.members.length === 0 || isHeld || isSameView(seen, lease.view)) return { ...lease, outgoing };
  const viewSinceMs = lastSwitchMs(lease.roster, nowMs);
  // Of the switch and not of now: a busy process that is late must not make cycles that are the new owner's.
  const untilMs = viewSinceMs + lateReleaseMs;
  return {
    ...lease,
    view: seen,
    viewSinceMs,
    past: lease.view
      ? [{ view: lease.view, sinceMs: lease.viewSinceMs }, ...lease.past].slice(0, pastViews)
      : [],
    outgoing: lease.view && nowMs < untilMs ? { view: lease.view, untilMs } : null,
  };
}

/** When `leaseSwitched` is due; Infinity where no change is known. */
export function nextChangeMs({ state, roster, outgoing }: Lease, nowMs: number): number {
  if (state === 'left') return Infinity;
  return Math.min(nextSwitchMs(roster, nowMs), outgoing?.untilMs ?? Infinity);
}

/**
 * When the next attempt is due that follows one begun at `startedMs`: at the latest when the lease of another member may
 * have ended, so that all members hear of a death at once. `everyMs`: from start to start, where nothing ends.
 */
export function nextAttemptMs({ leaseId, roster }: Lease, startedMs: number, everyMs: number): number {
  if (leaseId === null) return startedMs + everyMs;
  // The attempt looked at what had ended before it began. If it failed, the next one can wait.
  const endsMs = nextExpiryMs(roster, memberOf(leaseId), startedMs - expiryMarginMs);
  return Math.min(startedMs + everyMs, Math.max(startedMs + leastPauseMs, endsMs + expiryMarginMs));
}

/** The database responded: there is no such lease any more. */
export function leaseRejected(lease: Lease, endedMs: number): Lease {
  if (isOver(lease)) return lease;
  return { ...lease, state: 'lost', postUntilMs: -Infinity, attemptedMs: endedMs };
}

/** No response in time: all that is known is that time has passed, perhaps in a frozen process. */
export function leaseFailed(lease: Lease, { startedMs, endedMs }: Omit<Attempt, 'leaseId'>): Lease {
  if (lease.state === 'left') return lease;
  const wasFrozen = endedMs - startedMs > leaseMs;
  return {
    ...lease,
    state: stateAt(lease, endedMs),
    attemptedMs: wasFrozen ? lease.attemptedMs : endedMs,
  };
}

/** Called before the others are notified, so that the right to post ends even if this process is frozen meanwhile. */
export function leaseGivenBack(lease: Lease, nowMs: number): Lease {
  if (isOver(lease)) return lease;
  const latestMs = nowMs + leaveAttempts * leaveDeadlineMs + switchAfterMs + switchGridMs + lateReleaseMs;
  return { ...lease, state: 'leaving', postUntilMs: Math.min(lease.postUntilMs, latestMs) };
}

export function leaseLeft(lease: Lease): Lease {
  return { ...lease, state: 'left', outgoing: null, postUntilMs: -Infinity };
}

/** The state at this moment: a lease also runs out while the process is frozen. */
export function stateAt(lease: Lease, nowMs: number): MemberState {
  return lease.state === 'member' && nowMs >= lease.postUntilMs ? 'lost' : lease.state;
}

/** Whether a trigger that was claimed may be posted now. */
export function mayPost(lease: Lease, nowMs: number): boolean {
  return (lease.state === 'member' || lease.state === 'leaving') && nowMs < lease.postUntilMs;
}

/**
 * A process in which no attempt has ended for as long as a lease lasts was frozen. Others own its apps by now, so it
 * owns nothing until it has asked the database once. After a failed attempt it goes on: the others may fail as well.
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
 * Since when an app of ours has been ours without a break, as far as known; null if no other member can have had it
 * before. Monotonic ms.
 */
export function ownedSinceMs({ leaseId, view, viewSinceMs, past }: Lease, appId: string): number | null {
  if (leaseId === null || view === null) return null;
  const member = memberOf(leaseId);
  const views = [{ view, sinceMs: viewSinceMs }, ...past];
  const foreign = views.findIndex((each) => each.view.ownerOf(appId) !== member);
  const oldest = views[foreign < 0 ? views.length - 1 : foreign - 1];
  const wasAlone = foreign < 0 && oldest?.view.members.length === 1;
  return wasAlone ? null : (oldest?.sinceMs ?? null);
}

/**
 * After an outage of the database that was longer than a lease, all members rejoin one after the other, and the first
 * would own everything for a moment. So a member that rejoins and finds others missing keeps its old view for as long
 * as they may take to return. If only this member was cut off or frozen, no other is missing, and the new view counts
 * at once.
 */
function isMissingOthers({ view, leaseId }: Lease, seen: View): boolean {
  if (view === null || leaseId === null) return false;
  return view.members.some((member) => member !== memberOf(leaseId) && !seen.members.includes(member));
}

function isOver(lease: Lease): boolean {
  return lease.state === 'leaving' || lease.state === 'left';
}
