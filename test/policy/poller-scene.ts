import { expect } from '@jest/globals';
import type { Logger } from '../../src/observability/logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { PolicyPoller } from '../../src/policy/policy-poller.js';
import type { StoredPolicy } from '../../src/policy/policy-store.js';
import { ManualClock } from '../support/manual-clock.js';
import { PolicyTable } from '../support/policy-table.js';

export const intervalMs = 40_000;

/** A poller, a table of policies that it reads, and all that it did and said. */
export class PollerScene {
  readonly clock = new ManualClock();
  readonly metrics = createMetrics();
  readonly log: [event: string, data: unknown][] = [];
  readonly table = new PolicyTable();
  /** When the digests were looked at, and which policies were read. */
  readonly polls: number[] = [];
  reads: string[][] = [];
  /** Apps of other members. */
  others = new Set<string>();
  readonly poller: PolicyPoller;

  /** `everyMs`: the time from poll to poll. */
  constructor(private readonly everyMs = intervalMs) {
    const { clock, metrics, log, table } = this;
    table.onPoll = () => void this.polls.push(clock.monotonic());
    table.onRead = (appIds) => void this.reads.push([...appIds]);
    const logger: Logger = {
      debug: () => {},
      info: (event, data) => void log.push([event, data]),
      error: (event, error, data) => void log.push([event, { ...data, message: (error as Error).message }]),
      child: () => logger,
    };
    this.poller = new PolicyPoller({
      store: table,
      isOurs: (appId) => !this.others.has(appId),
      clock,
      logger,
      metrics,
      intervalMs: this.everyMs,
      random: () => 0,
    });
  }

  stop(): void {
    this.poller.stop();
  }

  /** The first poll, or the next one, of a table that has these policies now. */
  async poll(...entries: [string, StoredPolicy][]): Promise<void> {
    this.table.have(...entries);
    const earlier = this.polls.length;
    this.poller.start();
    await this.clock.advance(earlier === 0 ? 0 : this.everyMs);
    expect(this.polls).toHaveLength(earlier + 1);
  }

  inForce(): string[] {
    return [...this.poller.appIds()].filter((appId) => this.poller.policyOf(appId));
  }

  async gauge(name: string) {
    const metric = await this.metrics.registry.getSingleMetric(`autoscaler_eventgenerator_${name}`)?.get();
    return (metric?.values ?? []).map(({ value, labels }) =>
      'result' in labels ? [labels['result'], value] : value,
    );
  }

  events(): string[] {
    return this.log.map(([event]) => event);
  }
}

export const usable = (appId: string, version: string): [string, StoredPolicy] => [
  appId,
  { kind: 'usable', version, policy: { appId, version, rules: [] } },
];
export const broken = (appId: string, version: string): [string, StoredPolicy] => [
  appId,
  { kind: 'broken', version, problem: 'it is NULL' },
];
export const away = () => {
  throw new Error('database away');
};
