import type { Clock } from '../../src/util/clock.js';
import type { LogCacheNodes } from './log-cache-nodes.js';

/** The processes between gorouter and the envelopes: auth proxy, gateway, and log-cache itself. */
export const routeParts = ['proxy', 'gateway', 'logCache'] as const;
type RoutePart = (typeof routeParts)[number];

/** gRPC's own back-off between two attempts to connect, without its jitter. */
const firstBackOffMs = 1_000;
const backOffFactor = 1.6;
const maxBackOffMs = 120_000;

/**
 * Which processes of log-cache are there. The gateway goes on refusing for a while after log-cache is back, because it
 * tries to connect at ever longer distances; the proxy does not listen before it has read UAA's keys.
 */
export class LogCacheRoute {
  readonly #away = new Set<RoutePart>();
  #uaaIsUp = true;
  #keysRead = true;
  #lostMs = 0;
  #gatewayTriesAtMs = -Infinity;

  constructor(
    private readonly clock: Pick<Clock, 'now'>,
    private readonly nodes: Pick<LogCacheNodes, 'restart'>,
  ) {}

  takeDown(part: RoutePart): void {
    if (part === 'logCache' && !this.#away.has(part)) this.#lostMs = this.clock.now();
    this.#away.add(part);
  }

  bringUp(part: RoutePart): void {
    if (!this.#away.delete(part)) return;
    if (part === 'proxy') this.#keysRead = this.#uaaIsUp;
    // A new gateway connects at once.
    if (part === 'gateway') this.#gatewayTriesAtMs = -Infinity;
    if (part === 'logCache') {
      this.nodes.restart();
      this.#gatewayTriesAtMs = firstAttemptAfter(this.#lostMs, this.clock.now());
    }
  }

  uaaIs(up: boolean): void {
    this.#uaaIsUp = up;
    if (up) this.#keysRead = true;
  }

  /** Whether the part serves. What gRPC clients dial directly is log-cache itself. */
  isUp(part: RoutePart): boolean {
    return !this.#away.has(part) && (part !== 'proxy' || this.#keysRead);
  }

  /** Whether the gateway has a connection to log-cache. */
  get gatewayIsConnected(): boolean {
    return this.isUp('logCache') && this.clock.now() >= this.#gatewayTriesAtMs;
  }
}

/** The first of the attempts since lostMs that comes at or after sinceMs. */
function firstAttemptAfter(lostMs: number, sinceMs: number): number {
  let attemptMs = lostMs;
  for (let backOffMs = firstBackOffMs; attemptMs < sinceMs;) {
    attemptMs += backOffMs;
    backOffMs = Math.min(backOffMs * backOffFactor, maxBackOffMs);
  }
  return attemptMs;
}
