import { secsToNs } from '../../util/clock.js';
import type { Collector } from './authorized-collector.js';
import { noCost } from '../pool/cost.js';
import type { CollectionCost, Failed } from '../pool/job.js';
import type { CollectionRequest } from './collection-request.js';
import { failureOf } from './failures.js';

/**
 * How far before the windows an envelope may lie that proves that they are held. An app that was stopped has no
 * envelopes for some time. An envelope with a wrong clock, years ago, must not prove anything.
 */
const reachSecs = 900;

/** Asks, once a cycle at most, for the oldest envelope that log-cache holds of the app. */
export class OldestProbe {
  cost: CollectionCost = noCost();
  #oldestNs: Promise<bigint | null | Failed> | null = null;

  constructor(
    private readonly request: CollectionRequest,
    private readonly collector: Collector,
  ) {}

  /** Whether the oldest envelope is known already, or asked for. */
  get isAsked(): boolean {
    return this.#oldestNs !== null;
  }

  /** The cost since the last call. */
  takeCost(): CollectionCost {
    const { cost } = this;
    this.cost = noCost();
    return cost;
  }

  /** ns since the epoch; null: nothing is held. */
  oldestNs(): Promise<bigint | null | Failed> {
    return (this.#oldestNs ??= this.#ask());
  }

  /** Whether it was asked for in this cycle, and found that log-cache holds the window. */
  async shows({ startNs }: { readonly startNs: bigint }): Promise<boolean> {
    const oldestNs = await this.#oldestNs;
    return typeof oldestNs === 'bigint' && oldestNs <= startNs;
  }

  async #ask(): Promise<bigint | null | Failed> {
    const { appId, endNs, statWindowSecs, httpWindowSecs } = this.request;
    const startNs = endNs - secsToNs(Math.max(statWindowSecs, httpWindowSecs) + reachSecs);
    const result = await this.collector.run({ kind: 'oldest', appId, startNs, endNs });
    this.cost = result.cost;
    return result.kind === 'oldest' ? result.oldestNs : failureOf(result, 'looking for the oldest envelope');
  }
}
