import { memberOf } from './lease-id.js';

/** One living lease in a response of the database. Times are ms from the response on. */
export interface LivingLease {
  readonly leaseId: string;
  /** When its member begins to count; 0 or less: it does. */
  readonly countsInMs: number;
  /** When its member ceases to count; null if it does not leave. */
  readonly leavesInMs: number | null;
  /** When it ends unless it is renewed. */
  readonly expiresInMs: number;
}

/** Who counts when, by one response. Times are own monotonic ms. */
export interface Roster {
  /** When the database responded. */
  readonly receivedMs: number;
  /** The members that have counted longest come first. */
  readonly leases: readonly {
    readonly member: string;
    readonly fromMs: number;
    readonly untilMs: number;
    readonly expiresMs: number;
  }[];
}

export const emptyRoster: Roster = { receivedMs: -Infinity, leases: [] };

/** The leases come in the database's order: the members that have counted longest come first. */
export function createRoster(leases: readonly LivingLease[], receivedMs: number): Roster {
  return {
    receivedMs,
    leases: leases.map(({ leaseId, countsInMs, leavesInMs, expiresInMs }) => ({
      member: memberOf(leaseId),
      fromMs: countsInMs <= 0 ? -Infinity : receivedMs + countsInMs,
      untilMs: leavesInMs === null ? Infinity : receivedMs + leavesInMs,
      expiresMs: receivedMs + expiresInMs,
    })),
  };
}

/**
 * The members that share the apps at this moment. Where none counts yet, as at the start of a fleet, the first counts
 * at once.
 */
export function membersAt({ leases }: Roster, nowMs: number): readonly string[] {
  const present = leases.filter(({ untilMs }) => nowMs < untilMs);
  const counting = present.filter(({ fromMs }) => fromMs <= nowMs);
  return (counting.length > 0 ? counting : present.slice(0, 1)).map(({ member }) => member);
}

/** Since when `membersAt` returns this result: the last switch, or the response that told of it. */
export function lastSwitchMs({ receivedMs, leases }: Roster, nowMs: number): number {
  return Math.max(receivedMs, ...switchesOf(leases).filter((switchMs) => switchMs <= nowMs));
}

/** The next moment at which a member begins or ceases to count; Infinity where none is known. */
export function nextSwitchMs({ leases }: Roster, nowMs: number): number {
  return Math.min(Infinity, ...switchesOf(leases).filter((switchMs) => switchMs > nowMs));
}

/** The first moment after `afterMs` at which another member's lease ends unless it is renewed before; Infinity for none. */
export function nextExpiryMs({ leases }: Roster, ownMember: string, afterMs: number): number {
  const others = leases.filter(({ member, expiresMs }) => member !== ownMember && expiresMs > afterMs);
  return Math.min(Infinity, ...others.map(({ expiresMs }) => expiresMs));
}

function switchesOf(leases: Roster['leases']): number[] {
  return leases.flatMap(({ fromMs, untilMs }) => [fromMs, untilMs]);
}
