import type { Clock } from '../../src/util/clock.js';
import { hashText } from './deterministic.js';

interface Node {
  isDown: boolean;
  /** What arrived before is gone; µs since the epoch. */
  emptiedUs: number;
}

/**
 * The machines that log-cache keeps envelopes on, in memory: each source has one of them, without a copy elsewhere.
 * Whoever asks for a source of a dead one is answered 200 and nothing.
 */
export class LogCacheNodes {
  readonly #nodes: Node[];

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    count = 1,
  ) {
    this.#nodes = Array.from({ length: count }, () => ({ isDown: false, emptiedUs: -Infinity }));
  }

  /** The number of the node that keeps a source. */
  numberOf(sourceId: string): number {
    return hashText(sourceId) % this.#nodes.length;
  }

  /** Since when the source's node keeps what arrives, µs since the epoch; Infinity while it is down. */
  keepsSinceUs(sourceId: string): number {
    const { isDown, emptiedUs } = this.#node(this.numberOf(sourceId));
    return isDown ? Infinity : emptiedUs;
  }

  takeDown(number: number): void {
    this.#node(number).isDown = true;
  }

  /** What it held, and what came meanwhile, is lost. */
  bringUp(number: number): void {
    const node = this.#node(number);
    node.isDown = false;
    node.emptiedUs = this.clock.now() * 1000;
  }

  /** A restart of all nodes that takes no time. */
  restart(): void {
    for (const number of this.#nodes.keys()) this.bringUp(number);
  }

  #node(number: number): Node {
    const node = this.#nodes[number];
    if (!node) throw new Error(`there is no node ${number} of log-cache, there are ${this.#nodes.length}`);
    return node;
  }
}
