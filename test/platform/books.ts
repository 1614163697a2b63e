import type { Clock } from '../../src/util/clock.js';
import type { ScalingOutcome } from './scaling-engine.js';
import type { ScalingTrigger } from './scaling-trigger.js';

export type ServedKind = 'read' | 'query' | 'token' | 'info' | 'meta' | 'scale';

export interface ServedCounts {
  requests: number;
  /** Envelopes of reads; samples or series of queries; sources of meta. */
  envelopes: number;
  /** Of the answers' bodies. */
  bytes: number;
  /**
   * Requests by the status of the answer (over gRPC the one that a gateway would make of it); "broken" where the
   * connection was broken instead.
   */
  byStatus: Record<string, number>;
}

export interface TriggerRecord {
  /** Wall-clock ms of the scaling engine's decision. */
  readonly atMs: number;
  /** When the request came; a fault may have held it up until the decision. */
  readonly receivedMs: number;
  /** `bad-request`: the body was no trigger. */
  readonly result: ScalingOutcome['kind'] | 'bad-request';
  readonly metricType: string;
  readonly metricUnit: string;
  readonly operator: string;
  /** int64 as decimal text. */
  readonly threshold: string;
  readonly breachDurationSecs: string;
  readonly coolDownSecs: string;
  readonly adjustment: string;
  /** Running instances before and after; absent where there is no app. */
  readonly before?: number;
  readonly after?: number;
}

export interface TriggerCounts {
  total: number;
  scaledOut: number;
  scaledIn: number;
  coolingDown: number;
  ignored: number;
  failed: number;
}

/** Older records of an app give way; the counts go on. */
const maxRecordsPerApp = 200;

/** What the platform served, and what was asked of its scaling engine. */
export class Books {
  readonly #served: Record<ServedKind, ServedCounts>;
  readonly triggers: TriggerCounts = {
    total: 0,
    scaledOut: 0,
    scaledIn: 0,
    coolingDown: 0,
    ignored: 0,
    failed: 0,
  };
  readonly #triggersByApp = new Map<string, TriggerRecord[]>();
  readonly #waiting = new Set<{ readonly met: () => boolean; readonly resolve: () => void }>();
  readonly #startedMs: number;

  constructor(private readonly clock: Pick<Clock, 'now'>) {
    this.#startedMs = clock.now();
    this.#served = {
      read: none(),
      query: none(),
      token: none(),
      info: none(),
      meta: none(),
      scale: none(),
    };
  }

  /** What was served of a kind so far. */
  of(kind: ServedKind): Readonly<ServedCounts> {
    return this.#served[kind];
  }

  /** The last triggers for an app, oldest first. */
  triggersOf(appId: string): readonly TriggerRecord[] {
    return this.#triggersByApp.get(appId) ?? [];
  }

  /** Resolves as soon as the condition holds; it is looked at whenever something is booked. */
  until(condition: (books: Books) => boolean): Promise<void> {
    if (condition(this)) return Promise.resolve();
    return new Promise((resolve) => this.#waiting.add({ met: () => condition(this), resolve }));
  }

  served(kind: ServedKind, answer: { readonly bytes: number; readonly status: number }, envelopes = 0): void {
    const counts = this.#served[kind];
    counts.requests++;
    counts.bytes += answer.bytes;
    counts.envelopes += envelopes;
    const status = answer.status === 0 ? 'broken' : String(answer.status);
    counts.byStatus[status] = (counts.byStatus[status] ?? 0) + 1;
    this.#wake();
  }

  triggered(
    appId: string,
    trigger: ScalingTrigger | undefined,
    outcome: ScalingOutcome | 'bad-request',
    receivedMs: number,
  ): void {
    const records = this.#triggersByApp.get(appId) ?? [];
    records.push({
      atMs: this.clock.now(),
      receivedMs,
      result: outcome === 'bad-request' ? outcome : outcome.kind,
      metricType: trigger?.metric_type ?? '',
      metricUnit: trigger?.metric_unit ?? '',
      operator: trigger?.operator ?? '',
      threshold: String(trigger?.threshold ?? 0n),
      breachDurationSecs: String(trigger?.breach_duration_secs ?? 0n),
      coolDownSecs: String(trigger?.cool_down_secs ?? 0n),
      adjustment: trigger?.adjustment ?? '',
      ...instancesOf(outcome),
    });
    if (records.length > maxRecordsPerApp) records.shift();
    this.#triggersByApp.set(appId, records);
    this.triggers.total++;
    this.triggers[countOf(outcome)]++;
    this.#wake();
  }

  toJSON(): object {
    return {
      startedMs: this.#startedMs,
      atMs: this.clock.now(),
      served: this.#served,
      triggers: { ...this.triggers, byApp: Object.fromEntries(this.#triggersByApp) },
    };
  }

  #wake(): void {
    for (const waiting of this.#waiting) {
      if (!waiting.met()) continue;
      this.#waiting.delete(waiting);
      waiting.resolve();
    }
  }
}

function none(): ServedCounts {
  return { requests: 0, envelopes: 0, bytes: 0, byStatus: {} };
}

function countOf(outcome: ScalingOutcome | 'bad-request'): Exclude<keyof TriggerCounts, 'total'> {
  if (outcome === 'bad-request') return 'failed';
  switch (outcome.kind) {
    case 'scaled':
      return outcome.after > outcome.before ? 'scaledOut' : 'scaledIn';
    case 'cooling-down':
      return 'coolingDown';
    case 'ignored':
      return 'ignored';
    case 'no-app':
    case 'bad-adjustment':
      return 'failed';
  }
}

function instancesOf(outcome: ScalingOutcome | 'bad-request'): Pick<TriggerRecord, 'before' | 'after'> {
  if (outcome === 'bad-request') return {};
  switch (outcome.kind) {
    case 'scaled':
      return { before: outcome.before, after: outcome.after };
    case 'cooling-down':
    case 'ignored':
      return { before: outcome.before, after: outcome.before };
    case 'no-app':
    case 'bad-adjustment':
      return {};
  }
}
