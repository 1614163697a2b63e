import type { TriggerRecord } from '../platform/books.js';
import type { AppState, DemoState, Point, Scaling } from './app-state.js';
import type { Actor } from './cast.js';
import type { Look } from './look.js';

/* Small states to render. */

export const startedMs = Date.UTC(2026, 0, 2, 12, 0, 0);
export const plainLook: Look = { colours: false, unicode: true };

export const actor: Actor = {
  name: 'spike',
  guid: 'guid-of-spike',
  plot: 'its load grows fourfold',
  metricType: 'throughput',
  upper: 80,
  lower: 20,
  minInstances: 1,
  maxInstances: 10,
  breachDurationSecs: 5,
  coolDownSecs: 10,
};

/** One point a second, the last one at the time given. */
export function pointsUntil(endMs: number, ...values: readonly (number | null)[]): Point[] {
  return values.map((value, i) => ({
    atMs: endMs - (values.length - 1 - i) * 1000,
    value,
    unit: value === null ? '' : 'rps',
  }));
}

export function appState(changes: Partial<AppState> = {}): AppState {
  return { actor, instances: 2, points: [], ...changes };
}

export function demoState(changes: Partial<DemoState> = {}): DemoState {
  return {
    startedMs,
    nowMs: startedMs + 20_000,
    timeoutSecs: 120,
    activity: 'It is running.',
    breachDurationSecs: 5,
    apps: [],
    scalings: [],
    scaledOut: 0,
    scaledIn: 0,
    ...changes,
  };
}

export function triggerRecord(atMs: number, changes: Partial<TriggerRecord> = {}): TriggerRecord {
  return {
    atMs,
    receivedMs: atMs,
    result: 'scaled',
    metricType: 'throughput',
    metricUnit: 'rps',
    operator: '>',
    threshold: '80',
    breachDurationSecs: '5',
    coolDownSecs: '10',
    adjustment: '+1',
    before: 2,
    after: 3,
    ...changes,
  };
}

export function scaling(changes: Partial<Scaling> = {}): Scaling {
  return {
    actor,
    atMs: startedMs + 12_340,
    from: 2,
    to: 3,
    operator: '>',
    threshold: '80',
    unit: 'rps',
    breachDurationSecs: '5',
    reaction: { ms: 5020, since: 'breach' },
    ...changes,
  };
}
