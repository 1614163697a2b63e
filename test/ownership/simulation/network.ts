import type { ElasticOwnershipOptions } from '../../../src/ownership/elastic-ownership.js';
import { claimDeadlineMs, leaveDeadlineMs, renewDeadlineMs } from '../../../src/ownership/timing.js';
import type { TriggerStore } from '../../../src/ownership/trigger-store.js';
import type { ModelDatabase } from './model-database.js';
import type { Process, World } from './world.js';

/** How often a message has which fault; 0 to 1. May be changed while the simulation runs. */
export interface FaultRates {
  lost: number;
  late: number;
  commitStalls: number;
}

export const noFaults: Readonly<FaultRates> = { lost: 0, late: 0, commitStalls: 0 };

/** Later than every deadline. */
const latestMs = 5_000;

export interface LinkObserver {
  /** Something out of the ordinary has happened. */
  disturbed(): void;
  /** A statement is executed although its process is frozen, dead or has left. */
  died(): void;
}

/** One process's way to the database: each statement on a connection of its own, which may lose or hold back anything. */
export class Link {
  /** Until this true time nothing passes; what was sent meanwhile arrives then, or never. */
  cutUntil = 0;
  /** True time of the last fault. */
  faultyAt = 0;
  /** Set when the process has left: what is executed for it afterwards is as from the dead. */
  isOver = false;
  readonly #world: World;
  readonly #database: ModelDatabase;
  readonly #process: Process;
  readonly #faults: Readonly<FaultRates>;
  readonly #observer: LinkObserver;

  constructor(
    world: World,
    database: ModelDatabase,
    process: Process,
    faults: Readonly<FaultRates>,
    observer: LinkObserver,
  ) {
    this.#world = world;
    this.#database = database;
    this.#process = process;
    this.#faults = faults;
    this.#observer = observer;
  }

  get memberStore(): ElasticOwnershipOptions['store'] {
    return {
      join: (candidate) => this.#ask(renewDeadlineMs, (stallMs) => this.#database.join(candidate, stallMs)),
      renew: (leaseId) => this.#ask(renewDeadlineMs, (stallMs) => this.#database.renew(leaseId, stallMs)),
      leave: (lowest, highest) =>
        this.#ask(leaveDeadlineMs, (stallMs) => this.#database.leave(lowest, highest, stallMs)),
      remove: (lowest, highest) =>
        this.#ask(leaveDeadlineMs, (stallMs) => this.#database.remove(lowest, highest, stallMs)),
    };
  }

  get triggerStore(): TriggerStore {
    return {
      claim: (request) => this.#ask(claimDeadlineMs, (stallMs) => this.#database.claim(request, stallMs)),
      complete: () => Promise.resolve(),
      readBlocks: () => Promise.resolve(new Map()),
      prune: () => Promise.resolve(),
    };
  }

  /** Rejects at the deadline by the process's own clock; the statement goes its way all the same. */
  #ask<T>(timeoutMs: number, execute: (stallMs: number) => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = this.#process.setTimer(timeoutMs, () => reject(new Error('deadline')));
      const deliver = (settle: () => void) => {
        timer.cancel();
        settle();
      };
      void this.#transport(() => {
        if (this.isOver || !this.#process.isRunning) this.#observer.died();
        const stalls = this.#world.chance(this.#faults.commitStalls);
        execute(stalls ? this.#world.between(0, latestMs) : 0)
          .then(
            (value) => () => resolve(value),
            (error: Error) => () => reject(error),
          )
          .then((settle) => {
            if (stalls) this.#fault();
            return this.#transport(() => this.#process.perform(() => deliver(settle)));
          })
          .catch(reject);
      });
    });
  }

  #fault(): void {
    this.faultyAt = this.#world.now;
    this.#observer.disturbed();
  }

  async #transport(arrive: () => void): Promise<void> {
    const world = this.#world;
    const isCut = world.now < this.cutUntil;
    if (world.chance(isCut ? 0.5 : this.#faults.lost)) {
      this.#fault();
      return;
    }
    const isLate = world.chance(this.#faults.late);
    await world.until(world.now + (isLate ? world.between(0, latestMs) : world.between(0.1, 20)));
    if (world.now < this.cutUntil) await world.until(this.cutUntil + world.between(0, 20));
    if (isLate || isCut) this.#fault();
    arrive();
  }
}
