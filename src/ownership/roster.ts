import { memberOf } from './lease-id.js';

/** One living lease, as the database answered. Times are ms from its answer on. */
export interface LivingLease {
  readonly leaseId: string;
  /** When its member begins to count; 0 or less: it does. */
  readonly countsInMs: number;
  /** When its member ceases to count; null where it does not leave. */
  readonly leavesInMs: number | null;
}

/** Who counts when, as far as one answer tells. Times are own monotonic ms. */
export interface Roster {
  /** When the database answered. */
  readonly answeredMs: number;
  /** Those who count longest come first. */
  readonly leases: readonly {
    readonly member: string;
    readonly fromMs: number;
    readonly untilMs: number;
  }[];
}

export const emptyRoster: Roster = { answeredMs: -Infinity, leases: [] };

/** The leases come in the database's order, those first whose members count longest. */
export function createRoster(leases: readonly LivingLease[], answeredMs: number): Roster {
  return {
    answeredMs,
    leases: leases.map(({ leaseId, countsInMs, leavesInMs }) => ({
      member: memberOf(leaseId),
      fromMs: countsInMs <= 0 ? -Infinity : answeredMs + countsInMs,
      untilMs: leavesInMs === null ? Infinity : answeredMs + leavesInMs,
    })),
  };
}

/**
 * The members that share the apps at this moment. Where nobody counts, as at the start of a fleet, the first of those
 * that wait for their turn does not have to.
 */
export function membersAt({ leases }: Roster, nowMs: number): readonly string[] {
  const present = leases.filter(({ untilMs }) => nowMs < untilMs);
  const counting = present.filter(({ fromMs }) => fromMs <= nowMs);
  return (counting.length > 0 ? counting : present.slice(0, 1)).map(({ member }) => member);
}

/** Since when `membersAt` gives this result: the last turn of somebody, or when the database told it. */
export function lastSwitchMs({ answeredMs, leases }: Roster, nowMs: number): number {
  return Math.max(answeredMs, ...turnsOf(leases).filter((turnMs) => turnMs <= nowMs));
}

/** The next moment at which somebody begins or ceases to count; Infinity where none is known. */
export function nextSwitchMs({ leases }: Roster, nowMs: number): number {
  return Math.min(Infinity, ...turnsOf(leases).filter((turnMs) => turnMs > nowMs));
}

function turnsOf(seats: Roster['leases']): number[] {
  return seats.flatMap(({ fromMs, untilMs }) => [fromMs, untilMs]);
}
