import { grantedClaims, type Claims } from '../../../src/ownership/claims.js';
import { ElasticClaims } from '../../../src/ownership/elastic-claims.js';
import { ElasticOwnership } from '../../../src/ownership/elastic-ownership.js';
import { createLeaseIds, memberOf } from '../../../src/ownership/lease-id.js';
import { createView } from '../../../src/ownership/rendezvous.js';
import { silentLogger } from '../../support/silent-logger.js';
import { createMetrics } from '../../../src/observability/metrics.js';
import type { TriggerStore } from '../../../src/ownership/trigger-store.js';
import { ModelDatabase } from './model-database.js';
import { Link, noFaults, type FaultRates } from './network.js';
import { Process, World } from './world.js';

export interface Member {
  readonly process: Process;
  readonly link: Link;
  readonly ownership: ElasticOwnership;
  readonly claims: Claims;
  /** Apps whose last claim was decided. */
  readonly decided: ReadonlySet<string>;
}

export interface Post {
  readonly appId: string;
  /** True ms. */
  readonly at: number;
  /** When the claim was made by the database's clock; undefined for a post without one. */
  readonly claimedAt: number | undefined;
  /** Whether the member was leaving, or had a living lease in the database, when it posted. */
  readonly isEntitled: boolean;
}

export interface FleetOptions {
  readonly seed: number;
  readonly apps: number;
  readonly faults?: Readonly<FaultRates>;
  /** Default true. */
  readonly withClaims?: boolean;
}

/** Apps that always breach are collected and evaluated once in this time. */
export const intervalMs = 4_000;

/** Members that run the real ownership and the real claims against the model of the database. */
export class Fleet {
  readonly world: World;
  readonly database: ModelDatabase;
  readonly members: Member[] = [];
  readonly posts: Post[] = [];
  readonly apps: readonly string[];
  /** True time of the last thing that may have changed what members should agree on, or kept them from hearing of it. */
  lastDisturbance = 0;
  /** True time when a member was killed, frozen or cut off, or when a statement of one that was no more was executed. */
  lastDeath = 0;
  readonly #options: FleetOptions;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.world = new World(options.seed);
    this.database = new ModelDatabase(this.world, this.#rate());
    this.apps = Array.from({ length: options.apps }, (_, i) => `app-${i}`);
  }

  get living(): Member[] {
    return this.members.filter(({ process, ownership }) => !process.isDead && ownership.state !== 'left');
  }

  disturbed = (): void => {
    this.lastDisturbance = this.world.now;
  };

  died = (): void => {
    this.lastDeath = this.world.now;
    this.disturbed();
  };

  start(faults: Readonly<FaultRates> = this.#options.faults ?? noFaults): Member {
    const { world } = this;
    const process = new Process(world, this.#rate());
    const link = new Link(world, this.database, process, faults, this);
    const metrics = createMetrics();
    const common = { clock: process, logger: silentLogger, metrics };
    const ownership = new ElasticOwnership({
      ...common,
      store: link.memberStore,
      instance: { guid: 'guid', index: 0 },
      appsOwned: () => 0,
      leaseIds: createLeaseIds(
        Buffer.from(Array.from({ length: 8 }, () => Math.floor(world.random() * 256))),
      ),
      random: world.random,
    });
    const decided = new Set<string>();
    const claims =
      this.#options.withClaims === false
        ? grantedClaims
        : new ElasticClaims({
            ...common,
            store: remembering(link.triggerStore, decided),
            ownership,
            intervalMs,
          });
    const member = { process, link, ownership, claims, decided };
    this.members.push(member);
    ownership.start();
    for (const appId of this.apps) this.#schedule(member, appId);
    this.disturbed();
    return member;
  }

  leave({ process, link, ownership }: Member): void {
    process.perform(() => {
      void ownership.leave().then(() => {
        link.isOver = true;
        this.disturbed();
      });
    });
    this.disturbed();
  }

  kill({ process }: Member): void {
    process.kill();
    this.died();
  }

  freeze({ process }: Member, forMs: number): void {
    process.freeze();
    this.died();
    this.world.at(this.world.now + forMs, () => {
      process.wake();
      this.disturbed();
    });
  }

  cut({ link }: Member, forMs: number): void {
    link.cutUntil = Math.max(link.cutUntil, this.world.now + forMs);
    this.died();
    this.world.at(link.cutUntil, () => {
      link.faultyAt = this.world.now;
      this.disturbed();
    });
  }

  freezeDatabase(forMs: number): void {
    this.database.frozenUntil = Math.max(this.database.frozenUntil, this.world.now + forMs);
    this.world.at(this.database.frozenUntil, this.disturbed);
  }

  stallCommits(forMs: number): void {
    this.database.commitsStallUntil = Math.max(this.database.commitsStallUntil, this.world.now + forMs);
    this.world.at(this.database.commitsStallUntil, this.disturbed);
  }

  /** Whether every living member has the same view, that of all living members, so that each app has one owner. */
  agree(): boolean {
    const living = this.living;
    return (
      living.every(({ ownership }) => ownership.members.length === living.length) &&
      this.apps.every((appId) => this.ownersOf(appId).length === 1)
    );
  }

  ownersOf(appId: string): Member[] {
    return this.members.filter(({ process, ownership }) => process.isRunning && ownership.owns(appId));
  }

  /** Who should own the app by what stands in the database, whether or not it has heard so yet. */
  heirOf(appId: string): Member | undefined {
    const heir = createView(this.database.livingMembers).ownerOf(appId);
    return this.members.find(({ ownership }) => memberOf(ownership.leaseId ?? '') === heir);
  }

  /** Cycles of an app begin at about the same time everywhere, for they hang on wall clocks that are nearly right. */
  #schedule(member: Member, appId: string): void {
    const { world } = this;
    const { process } = member;
    const phase = (this.apps.indexOf(appId) / this.apps.length) * intervalMs;
    const next = () => {
      const inMs = intervalMs - ((world.now - phase) % intervalMs) + world.between(-20, 20);
      process.setTimer(inMs <= 100 ? inMs + intervalMs : inMs, () => {
        next();
        if (member.ownership.owns(appId)) void this.#cycle(member, appId);
      });
    };
    next();
  }

  async #cycle({ process, ownership, claims, decided }: Member, appId: string): Promise<void> {
    await new Promise<void>((resolve) => process.setTimer(this.world.between(5, 50), resolve));
    if (!ownership.mayPost()) return;
    const claim = await claims.claim(appId, 'out');
    if (!claim.granted) return;
    this.posts.push({
      appId,
      at: this.world.now,
      claimedAt: decided.has(appId) ? this.database.posts.get(appId)?.postedAt : undefined,
      isEntitled: ownership.state === 'leaving' || this.database.isLiving(ownership.leaseId ?? ''),
    });
  }

  /** 1 % fast or slow at most. */
  #rate(): number {
    return this.world.between(0.99, 1.01);
  }
}

function remembering(store: TriggerStore, decided: Set<string>): TriggerStore {
  return {
    ...store,
    async claim(request) {
      decided.delete(request.appId);
      const outcome = await store.claim(request);
      decided.add(request.appId);
      return outcome;
    },
  };
}
