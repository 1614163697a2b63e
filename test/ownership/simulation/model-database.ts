import type { Candidate, Leave, LeaseList } from '../../../src/ownership/member-store.js';
import { createRoster, membersAt, type LivingLease } from '../../../src/ownership/roster.js';
import {
  claimLockTimeoutMs,
  leaseMs,
  renewLockTimeoutMs,
  switchAfterMs,
  switchGridMs,
  switchOffsetMs,
} from '../../../src/ownership/timing.js';
import type { ClaimOutcome, ClaimRequest } from '../../../src/ownership/trigger-store.js';
import type { World } from './world.js';

interface LeaseRow {
  readonly joinedAt: number;
  readonly countsFrom: number;
  readonly leavesAt: number;
  readonly expiresAt: number;
  /** False between joining and the first renewal. */
  readonly isActive: boolean;
}

interface PostRow {
  readonly postedBy: string;
  readonly postedAt: number;
}

/**
 * The two tables with the meaning that the SQL has in PostgreSQL at read committed: a statement sees what was committed
 * when it began, takes its time from its beginning, waits for rows that another one has written and not yet
 * committed, then looks at them again. (That the SQL itself does so is tested on the real server.)
 */
export class ModelDatabase {
  readonly leases = new Map<string, LeaseRow>();
  readonly posts = new Map<string, PostRow>();
  /** Statements that arrive before this true time are read then: the server is frozen. */
  frozenUntil = 0;
  /** What is written before this true time is committed then: the disk, or a synchronous standby, does not answer. */
  commitsStallUntil = 0;
  /** How long each statement takes. */
  statementMs = 0;
  readonly #world: World;
  readonly #rate: number;
  readonly #locks = new Map<string, Promise<void>>();

  constructor(world: World, rate: number) {
    this.#world = world;
    this.#rate = rate;
  }

  /** statement_timestamp() of a statement that begins now; ms. */
  get now(): number {
    return 1e12 + this.#rate * this.#world.now;
  }

  /** Those that count now. */
  get livingMembers(): readonly string[] {
    return membersAt(createRoster(this.#living(this.now), 0), 0);
  }

  isLiving(leaseId: string): boolean {
    return (this.leases.get(leaseId)?.expiresAt ?? -Infinity) > this.now;
  }

  async join({ leaseId, lowestLeaseId }: Candidate, stallMs: number): Promise<LeaseList> {
    const time = await this.#begin();
    const isEarlier = (id: string) => id >= lowestLeaseId && id < leaseId;
    const row = {
      joinedAt: time,
      countsFrom: this.#isStillCountedOn(isEarlier, time) ? time : turnAfter(time),
      leavesAt: Infinity,
      expiresAt: time + leaseMs,
      isActive: false,
    };
    const living = this.#living(time, [[leaseId, row]]).filter((lease) => !isEarlier(lease.leaseId));
    const previous = this.#previous(isEarlier);
    // Locked rows are skipped.
    const earlier = [...this.leases.keys()].filter((id) => isEarlier(id) && !this.#locks.has(id));
    await this.#commit([leaseId, ...earlier], stallMs, () => {
      for (const id of earlier) {
        const endedAt = Math.min(previous?.row.expiresAt ?? -Infinity, time);
        if (id === previous?.id)
          this.leases.set(id, { ...previous.row, expiresAt: endedAt, leavesAt: endedAt });
        else this.leases.delete(id);
      }
      this.leases.set(leaseId, row);
    });
    return { databaseMs: time, leases: living };
  }

  async renew(leaseId: string, stallMs: number): Promise<LeaseList | null> {
    const time = await this.#begin();
    const seen = this.leases.get(leaseId);
    const living = this.#living(time, seen ? [[leaseId, seen]] : []);
    const limit = this.#lockTimeout(renewLockTimeoutMs);
    while (this.#locks.has(leaseId)) await Promise.race([this.#locks.get(leaseId), limit]);
    const row = this.leases.get(leaseId);
    if (!row || row.expiresAt <= time || row.leavesAt <= time) return null;
    const expiresAt = row.leavesAt < Infinity ? row.expiresAt : time + leaseMs;
    await this.#commit([leaseId], stallMs, () =>
      this.leases.set(leaseId, { ...row, expiresAt, isActive: true }),
    );
    return { databaseMs: time, leases: living };
  }

  async leave(lowest: string, highest: string, stallMs: number): Promise<Leave> {
    const time = await this.#begin();
    const leavesAt = turnAfter(time);
    await this.#change(lowest, highest, stallMs, (id, row) => this.leases.set(id, { ...row, leavesAt }));
    return { databaseMs: time, leavesInMs: leavesAt - time };
  }

  async remove(lowest: string, highest: string, stallMs: number): Promise<void> {
    await this.#begin();
    await this.#change(lowest, highest, stallMs, (id) => this.leases.delete(id));
  }

  async #change(
    lowest: string,
    highest: string,
    stallMs: number,
    change: (leaseId: string, row: LeaseRow) => void,
  ): Promise<void> {
    const ids = [...this.leases.keys()].filter((id) => id >= lowest && id <= highest);
    const limit = this.#lockTimeout(renewLockTimeoutMs);
    for (
      let id = ids.find((each) => this.#locks.has(each));
      id;
      id = ids.find((each) => this.#locks.has(each))
    ) {
      await Promise.race([this.#locks.get(id), limit]);
    }
    await this.#commit(ids, stallMs, () => {
      for (const id of ids) {
        const row = this.leases.get(id);
        if (row) change(id, row);
      }
    });
  }

  /** Whether a process has had a lease before, and nobody has renewed since it ended who was there before. */
  #isStillCountedOn(isEarlier: (leaseId: string) => boolean, time: number): boolean {
    const previous = this.#previous(isEarlier);
    if (!previous) return false;
    const endedAt = Math.min(previous.row.expiresAt, time);
    const others = [...this.leases.values()].filter((row) => isLiving(row, time));
    return !others.some(({ joinedAt, expiresAt }) => joinedAt <= endedAt && expiresAt - leaseMs > endedAt);
  }

  /** The last of these leases that was renewed. */
  #previous(isEarlier: (leaseId: string) => boolean): { id: string; row: LeaseRow } | undefined {
    return [...this.leases]
      .map(([id, row]) => ({ id, row }))
      .filter(({ id, row }) => isEarlier(id) && row.isActive)
      .sort((a, b) => (a.id < b.id ? 1 : -1))[0];
  }

  async claim(request: ClaimRequest, stallMs: number): Promise<ClaimOutcome> {
    const { appId, claimId, intervalMs } = request;
    const time = await this.#begin();
    const limit = this.#lockTimeout(claimLockTimeoutMs);
    while (this.#locks.has(appId)) await Promise.race([this.#locks.get(appId), limit]);
    const row = this.posts.get(appId);
    if (row && row.postedAt > time - intervalMs && row.postedBy !== claimId) {
      const blocks = { coolDownMs: 0, ignoredOutMs: 0, ignoredInMs: 0 };
      return { granted: false, blocks, postedMs: row.postedAt + intervalMs - time };
    }
    await this.#commit([appId], stallMs, () => this.posts.set(appId, { postedBy: claimId, postedAt: time }));
    return { granted: true };
  }

  /** Resolves to the statement's time. */
  async #begin(): Promise<number> {
    if (this.#world.now < this.frozenUntil) await this.#world.until(this.frozenUntil);
    return this.now;
  }

  /** The leases that others see, and these, those first whose members count longest. */
  #living(time: number, more: readonly (readonly [string, LeaseRow])[] = []): LivingLease[] {
    const living = [...this.leases].filter(([, row]) => isLiving(row, time));
    return [...new Map([...living, ...more])]
      .sort(([, a], [, b]) => a.countsFrom - b.countsFrom || a.joinedAt - b.joinedAt)
      .map(([leaseId, { countsFrom, leavesAt, expiresAt }]) => ({
        leaseId,
        countsInMs: countsFrom - time,
        leavesInMs: leavesAt < Infinity ? leavesAt - time : null,
        expiresInMs: expiresAt - time,
      }));
  }

  /** Rejects as PostgreSQL does when a row that another statement has written is not released in time. */
  #lockTimeout(timeoutMs: number): Promise<never> {
    const limit = this.#world.until(this.#world.now + timeoutMs).then(() => {
      throw new Error('canceling statement due to lock timeout');
    });
    limit.catch(() => {}); // most statements wait for nothing
    return limit;
  }

  /** Holds the rows from now, without a gap, until they are written. */
  async #commit(keys: readonly string[], stallMs: number, write: () => void): Promise<void> {
    const at = Math.max(this.#world.now + this.statementMs + stallMs, this.commitsStallUntil);
    if (at > this.#world.now) {
      const committed = this.#world.until(at);
      for (const key of keys) this.#locks.set(key, committed);
      await committed;
      for (const key of keys) this.#locks.delete(key);
    }
    write();
  }
}

function isLiving({ isActive, leavesAt, expiresAt }: LeaseRow, time: number): boolean {
  return isActive && leavesAt > time && expiresAt > time;
}

/** The first turn that everyone hears of who has renewed by then. */
function turnAfter(time: number): number {
  return Math.ceil((time + switchAfterMs - switchOffsetMs) / switchGridMs) * switchGridMs + switchOffsetMs;
}
