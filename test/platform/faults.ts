import { setMaxListeners } from 'node:events';
import type { Clock } from '../../src/util/clock.js';

/** `logCache` is REST and gRPC alike. */
export const serverNames = ['uaa', 'logCache', 'scalingEngine'] as const;
export type ServerName = (typeof serverNames)[number];

/**
 * Where faults happen. The Cloud Controller has no clients of its own here: log-cache's auth proxy asks it for the apps'
 * names before each query over REST, and never for a read.
 */
export const faultTargets = [...serverNames, 'cloudController'] as const;
type FaultTarget = (typeof faultTargets)[number];

/** `gauges` is a `read` of gauges alone. */
export const operations = ['token', 'info', 'meta', 'read', 'gauges', 'query', 'scale', 'apps'] as const;
export type Operation = (typeof operations)[number];

/**
 * What goes wrong.
 * - `delay`: answers after `ms` milliseconds
 * - `hang`: does not answer until the fault is lifted; `stall`: sends headers and half the body, then no more
 * - `status`: answers with this status, headers and body and does nothing else; over gRPC with the code that its gateway
 *   turns into this status, and the body as its text
 * - `reset`: breaks the connection without an answer; `cut`: in the middle of the body
 * - `garbage`: answers 200 with a body that is no JSON, or no protobuf message
 * - `compressed`: does what was asked, and answers in gzip though nobody said that it may; over gRPC nothing
 * - `empty`: log-cache answers 200 and nothing in it, as it does while a node is down
 * - `unauthorized`: log-cache answers its 404 (over gRPC PERMISSION_DENIED), UAA and the scaling engine 401
 * - `nan`: every gauge value of a read is NaN
 */
export type Fault =
  | { readonly kind: 'delay'; readonly ms: number }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly headers?: Readonly<Record<string, string>>;
      readonly body?: string;
    }
  | { readonly kind: (typeof simpleFaults)[number] };

export const simpleFaults = [
  'hang',
  'stall',
  'reset',
  'cut',
  'garbage',
  'compressed',
  'empty',
  'unauthorized',
  'nan',
] as const;

export interface FaultRule {
  readonly server: FaultTarget;
  /** Absent: every operation of the server. */
  readonly operation?: Operation;
  /** Absent: every app. Requests for several apps match if one of them does. */
  readonly app?: string;
  /** Absent: until lifted. */
  readonly times?: number;
  readonly fault: Fault;
}

export interface ActiveFault extends FaultRule {
  readonly id: number;
  /** Requests that met the fault. */
  readonly hits: number;
  /** Aborted when the fault is lifted. */
  readonly lifted: AbortSignal;
}

/** The faults in force. They can be switched while the platform runs, and several may meet one request. */
export class FaultSwitch {
  #nextId = 1;
  readonly #active = new Map<number, ActiveFault & { hits: number; readonly controller: AbortController }>();

  /** Returns a function that lifts the fault. */
  set(rule: FaultRule): { readonly id: number; lift(): void } {
    const id = this.#nextId++;
    const controller = new AbortController();
    // As many as there are requests that wait.
    setMaxListeners(0, controller.signal);
    this.#active.set(id, { ...rule, id, hits: 0, controller, lifted: controller.signal });
    return { id, lift: () => void this.lift(id) };
  }

  /** Whether there was such a fault. */
  lift(id: number): boolean {
    const fault = this.#active.get(id);
    this.#active.delete(id);
    fault?.controller.abort();
    return fault !== undefined;
  }

  clear(): void {
    for (const id of [...this.#active.keys()]) this.lift(id);
  }

  list(): readonly ActiveFault[] {
    return [...this.#active.values()];
  }

  /** The faults that meet a request, in the order in which they were set. Each call counts as one request. */
  meet(server: FaultTarget, operation: Operation, apps: readonly string[] = []): readonly ActiveFault[] {
    if (this.#active.size === 0) return [];
    const met = [...this.#active.values()].filter(
      (rule) =>
        rule.server === server &&
        ((rule.operation ?? operation) === operation ||
          (rule.operation === 'read' && operation === 'gauges')) &&
        (rule.app === undefined || apps.includes(rule.app)) &&
        rule.hits < (rule.times ?? Infinity),
    );
    for (const rule of met) rule.hits++;
    return met;
  }
}

/** Resolves after the delay, when the fault is lifted or when nobody waits any more, whichever comes first. */
export function waitForFault(
  clock: Pick<Clock, 'setTimer'>,
  delayMs: number | null,
  signals: readonly AbortSignal[],
): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      timer?.cancel();
      for (const signal of signals) signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = delayMs === null ? undefined : clock.setTimer(delayMs, done);
    for (const signal of signals) signal.addEventListener('abort', done);
    if (signals.some((signal) => signal.aborted)) done();
  });
}
