import { randomBytes } from 'node:crypto';

/** The part of a lease id that stands for the process: `xxxxxxxx-xxxx-8xxx`, 60 random bits. */
export const memberLength = 18;

/** Makes the lease ids of one process. */
export interface LeaseIds {
  /** A new id for every attempt to join, never used before. */
  next(): string;
  /** Below every id that `next` returns. */
  readonly lowest: string;
  /** Above every id that `next` returns. */
  readonly highest: string;
}

/**
 * A lease id is a UUID of version 8: its first half is the process's own random number, its second half counts the
 * attempts. So a lease is never reused, but all leases of a process stand for one member (`memberOf`). A member that
 * rejoins gets back the apps whose history it has. A lease that it does not know of, because the statement was executed
 * after its deadline, does not compete with it.
 */
export function createLeaseIds(random: Buffer = randomBytes(8)): LeaseIds {
  const hex = random.toString('hex', 0, 8);
  const member = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}`;
  const numbered = (attempt: number) => `${member}-8000-${attempt.toString(16).padStart(12, '0')}`;
  let attempts = 0;
  return {
    next: () => numbered(++attempts),
    lowest: numbered(0),
    highest: `${member}-8000-ffffffffffff`,
  };
}

/** The member that a lease belongs to: equal for all leases of one process. */
export function memberOf(leaseId: string): string {
  return leaseId.slice(0, memberLength);
}

/** Names the n-th claim of a process; its first half is that of the process's leases. n ≥ 0, below 2⁴⁸. */
export function claimIdOf(leaseId: string, n: number): string {
  return `${memberOf(leaseId)}-9000-${n.toString(16).padStart(12, '0')}`;
}
