import type { Figure, Target } from '../benchmark.js';
import { movedShare, type Cycle, type Span } from './cycles-book.js';
import { intervalMs, type Stage } from './stage.js';

/** An event takes at least this long, so that shares of its cycles compare. */
const leastMs = 20_000;
const settleTimeoutMs = 60_000;

/** Cycles of two members for one app this close together are one cycle done twice. */
const twiceWithinMs = intervalMs / 2;

/** How late a trigger may be, whatever happens to its app's owner: a takeover, and an interval. */
export const latestTriggerSecs = 7 + intervalMs / 1000;

export interface Observation {
  readonly span: Span;
  /** From the end of the act until every app was collected by one living member alone; Infinity if it never was. */
  readonly settledSecs: number;
}

/** Lets something happen, waits until it has no effect any more, and says how long that was. */
export async function observe(stage: Stage, act: () => Promise<unknown>): Promise<Observation> {
  await stage.read();
  const fromMs = Date.now();
  await act();
  const settledSecs = await settle(stage);
  await pause(fromMs + leastMs - Date.now());
  await stage.read();
  return { span: { fromMs, toMs: Date.now() }, settledSecs };
}

/** Waits until the living members, and no others, collect each app once. */
export async function settle(stage: Stage): Promise<number> {
  const startMs = Date.now();
  for (;;) {
    await pause(500);
    await stage.read();
    const nowMs = Date.now();
    const members = new Set(stage.fleet.living.map(({ number }) => number));
    const span = { fromMs: nowMs - 2.25 * intervalMs, toMs: nowMs };
    if (stage.cycles.isSettled(span, members)) return Math.max(0, span.fromMs - startMs) / 1000;
    if (nowMs - startMs > settleTimeoutMs) return Infinity;
  }
}

export interface Expectations {
  /** Default: no app misses a cycle. */
  readonly longestGapSecs?: number | null;
  readonly movedShare?: number;
  /** Cycles that are not held against the event. */
  readonly uncounted?: (cycle: Cycle) => boolean;
}

/** What is judged in every event. */
export function commonFigures(
  { cycles, triggers, breaches, fleet, context }: Stage,
  { span, settledSecs }: Observation,
  expected: Expectations = {},
): Figure[] {
  const gap = cycles.longestGap(span);
  const twice = triggers.postedTwice(span, intervalMs);
  const count = cycles.count(span);
  const spanSecs = (span.toMs - span.fromMs) / 1000;
  const before = cycles.ownersAt(span.fromMs);
  const { longestGapSecs = (1.5 * intervalMs) / 1000 } = expected;
  if (gap.ms > (longestGapSecs ?? Infinity) * 1000) context.progress(`a gap: ${JSON.stringify(gap)}`);
  if (twice.length > 0) context.progress(`triggers posted twice: ${JSON.stringify(twice)}`);
  return [
    figure('seconds_observed', spanSecs),
    figure('settled_s', settledSecs, { atMost: 45 }),
    figure('longest_gap_s', gap.ms / 1000, atMost(longestGapSecs)),
    figure('rounds_share', count / ((cycles.apps * spanSecs * 1000) / intervalMs)),
    figure('rounds_twice_share', cycles.doneTwice(span, twiceWithinMs, expected.uncounted) / count, {
      atMost: 0.01,
    }),
    figure('apps_moved_share', movedShare(before, cycles.ownersAt(span.toMs)), atMost(expected.movedShare)),
    figure('triggers', triggers.within(span).length),
    figure('triggers_twice', twice.length, { atMost: 0 }),
    figure('triggers_missing', missing({ triggers, breaches }, span.toMs), { atMost: 0 }),
    figure('trigger_late_max_s', latestTrigger({ triggers, breaches }, span)),
    figure('members_crashed', fleet.crashed, { atMost: 0 }),
  ];
}

export function figure(name: string, value: number, target?: Target): Figure {
  return target ? { name, value, target } : { name, value };
}

/** Seconds by which the last trigger of these apps came later than due; 0 if none was late. Default: of all apps. */
export function latestTrigger(
  { triggers, breaches }: Pick<Stage, 'triggers' | 'breaches'>,
  { fromMs, toMs }: Span,
  apps?: ReadonlySet<number>,
): number {
  let latestMs = 0;
  for (const { app, dueMs } of breaches.due()) {
    if (apps && !apps.has(app)) continue;
    const atMs = triggers.firstOf(app)?.atMs ?? Infinity;
    const isHere = apps ? true : atMs >= fromMs && atMs <= toMs;
    if (isHere) latestMs = Math.max(latestMs, atMs - dueMs);
  }
  return latestMs / 1000;
}

/** Apps whose trigger should have come by now, and has not. */
function missing({ triggers, breaches }: Pick<Stage, 'triggers' | 'breaches'>, nowMs: number): number {
  return [...breaches.due()].filter(
    ({ app, dueMs }) => dueMs + latestTriggerSecs * 1000 < nowMs && !triggers.firstOf(app),
  ).length;
}

function atMost(limit: number | null | undefined): Target | undefined {
  return limit === null || limit === undefined ? undefined : { atMost: limit };
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
