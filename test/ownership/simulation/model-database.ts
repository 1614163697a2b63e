import { memberOf } from '../../../src/ownership/lease-id.js';
import type { Candidate } from '../../../src/ownership/member-store.js';
import { claimLockTimeoutMs, leaseMs, renewLockTimeoutMs } from '../../../src/ownership/timing.js';
import type { ClaimOutcome, ClaimRequest } from '../../../src/ownership/trigger-store.js';
import type { World } from './world.js';

interface LeaseRow {
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

  /** Of those that have renewed. */
  get livingMembers(): string[] {
    return this.#living(this.now).map(memberOf);
  }

  isLiving(leaseId: string): boolean {
    return (this.leases.get(leaseId)?.expiresAt ?? -Infinity) > this.now;
  }

  async join({ leaseId, lowestLeaseId }: Candidate, stallMs: number): Promise<readonly string[]> {
    const time = await this.#begin();
    const isEarlier = (id: string) => id >= lowestLeaseId && id < leaseId;
    const living = this.#living(time).filter((id) => !isEarlier(id));
    // Locked rows are skipped.
    const removed = [...this.leases.keys()].filter((id) => isEarlier(id) && !this.#locks.has(id));
    await this.#commit([leaseId, ...removed], stallMs, () => {
      for (const id of removed) this.leases.delete(id);
      this.leases.set(leaseId, { expiresAt: time + leaseMs, isActive: false });
    });
    return [leaseId, ...living];
  }

  async renew(leaseId: string, stallMs: number): Promise<readonly string[] | null> {
    const time = await this.#begin();
    const living = this.#living(time);
    const limit = this.#lockTimeout(renewLockTimeoutMs);
    while (this.#locks.has(leaseId)) await Promise.race([this.#locks.get(leaseId), limit]);
    if ((this.leases.get(leaseId)?.expiresAt ?? -Infinity) <= time) return null;
    await this.#commit([leaseId], stallMs, () =>
      this.leases.set(leaseId, { expiresAt: time + leaseMs, isActive: true }),
    );
    return [...new Set([leaseId, ...living])];
  }

  async leave(lowest: string, highest: string, stallMs: number): Promise<void> {
    await this.#begin();
    const ids = [...this.leases.keys()].filter((id) => id >= lowest && id <= highest);
    const limit = this.#lockTimeout(renewLockTimeoutMs);
    for (
      let id = ids.find((each) => this.#locks.has(each));
      id;
      id = ids.find((each) => this.#locks.has(each))
    ) {
      await Promise.race([this.#locks.get(id), limit]);
    }
    await this.#commit(ids, stallMs, () => ids.forEach((id) => this.leases.delete(id)));
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

  #living(time: number): string[] {
    return [...this.leases]
      .filter(([, { expiresAt, isActive }]) => isActive && expiresAt > time)
      .map(([id]) => id);
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
    const at = Math.max(this.#world.now + stallMs, this.commitsStallUntil);
    if (at > this.#world.now) {
      const committed = this.#world.until(at);
      for (const key of keys) this.#locks.set(key, committed);
      await committed;
      for (const key of keys) this.#locks.delete(key);
    }
    write();
  }
}
