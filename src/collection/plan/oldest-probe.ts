import { secsToNs } from '../../util/clock.js';
import type { Collector } from './authorized-collector.js';
import { noCost } from '../pool/cost.js';
import type { CollectionCost, Failed } from '../pool/job.js';
import type { CollectionRequest } from './collection-request.js';

/**
 * How far before the windows an envelope may lie that proves that they are held. An app that was stopped for a while has
 * none for some time; one with a clock of its own must not prove anything from years ago.
 */
const reachSecs = 900;

/** What a cycle finds out about the oldest envelope that log-cache holds of its app; it asks once at most. */
export class OldestProbe {
  cost: CollectionCost = noCost();
  #answer: Promise<bigint | null | Failed> | null = null;

  constructor(
    private readonly request: CollectionRequest,
    private readonly collector: Collector,
  ) {}

  /** What it has cost since the last call. */
  takeCost(): CollectionCost {
    const { cost } = this;
    this.cost = noCost();
    return cost;
  }

  /** ns since the epoch; null: nothing is held. */
  oldestNs(): Promise<bigint | null | Failed> {
    return (this.#answer ??= this.#ask());
  }

  async #ask(): Promise<bigint | null | Failed> {
    const { appId, endNs, statWindowSecs, httpWindowSecs } = this.request;
    const startNs = endNs - secsToNs(Math.max(statWindowSecs, httpWindowSecs) + reachSecs);
    const result = await this.collector.run({ kind: 'oldest', appId, startNs, endNs });
    this.cost = result.cost;
    if (result.kind === 'oldest') return result.oldestNs;
    const { failure, message } =
      result.kind === 'failed'
        ? result
        : { failure: 'thread' as const, message: 'the collector answered another question' };
    return { kind: 'failed', failure, message: `looking for the oldest envelope: ${message}` };
  }
}
