import type { Books, TriggerRecord } from '../../platform/books.js';
import type { RuleJson } from '../../pipeline/policies.js';
import type { Diary, Span } from '../diary.js';
import type { ChaosOptions } from '../options.js';
import type { PolicyBook } from '../policy-book.js';
import { finding, timeOf, type Finding } from './finding.js';
import { lostLeases, mayBeUnknown, membershipChanges, type Logged } from './owners.js';
import type { Histories, Point } from './rows.js';

/** What of a stage this audit reads. */
export interface TriggerBooks {
  readonly guids: readonly string[];
  readonly platform: { readonly books: Pick<Books, 'triggersOf'> };
  readonly policies: { readonly book: PolicyBook };
  readonly options: Pick<ChaosOptions, 'intervalSecs'>;
  readonly diary: Diary;
  readonly members: readonly Logged[];
}

/** From an evaluation to the scaling engine's books: claim, post, a slow engine. */
export const postMs = 30_000;

/** Holds the scaling engine's books against what is stored, and the other way round. */
export function auditTriggers(stage: TriggerBooks, histories: Histories, spanMs: Span): Finding[] {
  return [
    finding('triggers without a breach', withoutBreach(stage, histories)),
    finding('triggers without such a rule', withoutRule(stage)),
    finding('triggers posted twice', twice(stage)),
    finding('triggers missing', missing(stage, histories, spanMs)),
  ];
}

export function* triggersOf({
  guids,
  platform,
}: Pick<TriggerBooks, 'guids' | 'platform'>): Generator<{ app: string; trigger: TriggerRecord }> {
  for (const app of guids) for (const trigger of platform.books.triggersOf(app)) yield { app, trigger };
}

export function told(
  app: string,
  { atMs, metricType, operator, threshold, breachDurationSecs, result }: TriggerRecord,
): string {
  return `${timeOf(atMs)} ${app} ${metricType} ${operator} ${threshold} for ${breachDurationSecs} s: ${result}`;
}

export function breaches(value: bigint | undefined, operator: string, threshold: bigint): boolean {
  if (value === undefined) return false;
  switch (operator) {
    case '>':
      return value > threshold;
    case '<':
      return value < threshold;
    default:
      throw new Error(`no rule of a run has the operator ${operator}`);
  }
}

function withoutBreach(stage: TriggerBooks, histories: Histories): string[] {
  const found: string[] = [];
  const changesMs = membershipChanges(stage.members);
  for (const { app, trigger } of triggersOf(stage)) {
    const { atMs, metricType, breachDurationSecs } = trigger;
    const durationMs = Number(breachDurationSecs) * 1000;
    if (stage.diary.hasWrongTimes({ fromMs: atMs - postMs - 2 * durationMs, toMs: atMs })) continue;
    const points = histories.within(app, metricType, atMs - postMs - durationMs, atMs);
    const known = points.filter(
      (point) => breachesRule(point, trigger) || !mayBeUnknown(point, atMs, changesMs),
    );
    if (!isJustified(trigger, known)) found.push(`${told(app, trigger)}; ${points.map(shown).join(' ')}`);
  }
  return found;
}

function isJustified(trigger: TriggerRecord, points: readonly Point[]): boolean {
  const { atMs } = trigger;
  const durationMs = Number(trigger.breachDurationSecs) * 1000;
  // An app whose collection failed is evaluated all the same: not only at the times of rows.
  const ends = points
    .flatMap((point) => [point.atMs, point.atMs + durationMs + 1])
    .filter((endMs) => endMs >= atMs - postMs && endMs <= atMs);
  const holds = ends.some((endMs) => {
    const inside = points.filter((point) => point.atMs >= endMs - durationMs && point.atMs <= endMs);
    return inside.length > 0 && inside.every((point) => breachesRule(point, trigger));
  });
  // Rows of a process that was killed may be missing; those that are there must not say otherwise.
  return holds || points.every((point) => breachesRule(point, trigger));
}

function breachesRule({ value }: Point, { operator, threshold }: TriggerRecord): boolean {
  return breaches(value, operator, BigInt(threshold));
}

function shown({ atMs, value }: Point): string {
  return `${timeOf(atMs).slice(3)}=${value ?? 'no data'}`;
}

/** The rule must have been in force not longer ago than a poll takes, and a policy_db that is away. */
function withoutRule(stage: TriggerBooks): string[] {
  const { policies, options, diary } = stage;
  const found: string[] = [];
  for (const { app, trigger } of triggersOf(stage)) {
    const { atMs, metricType, operator, threshold } = trigger;
    let fromMs = atMs - postMs - 3 * options.intervalSecs * 1000;
    for (const fault of diary.within({ fromMs, toMs: atMs }))
      fromMs = Math.min(fromMs, fault.fromMs - postMs);
    const versions = policies.book.versions(app).filter((each) => each.fromMs <= atMs && each.toMs >= fromMs);
    const isUncertain = versions.some((each) => each.rules === undefined && each.toMs - each.fromMs > 1_000);
    const isThere = policies.book
      .rulesWithin(app, fromMs, atMs)
      .some(
        (rule) =>
          rule.metric_type === metricType &&
          rule.operator === operator &&
          String(rule.threshold) === threshold,
      );
    if (!isThere && !isUncertain) found.push(told(app, trigger));
  }
  return found;
}

/** By how much the first of two posts may take longer from its claim to the books than the second, on a busy machine. */
const longerOnItsWayMs = 1_000;

/** Two within one evaluation interval. What the engine refused in a cool-down is one more than there should be, too. */
function twice({ guids, platform, options, diary, members }: TriggerBooks): string[] {
  const leasesLostMs = lostLeases(members);
  const found: string[] = [];
  const leastMs = options.intervalSecs * 1000 - longerOnItsWayMs;
  for (const app of guids) {
    const triggers = platform.books.triggersOf(app);
    for (const [i, again] of triggers.entries()) {
      const before = triggers[i - 1];
      if (!before) continue;
      const isTwice = again.receivedMs - before.receivedMs < leastMs || again.result === 'cooling-down';
      const span = { fromMs: before.atMs - postMs, toMs: again.atMs };
      // Whoever cannot hold a lease cannot tell others of a cool-down either; the scaling engine knows it.
      const isUntold = leasesLostMs.some((lostMs) => lostMs >= span.fromMs && lostMs <= span.toMs);
      const anyFault = again.result === 'cooling-down' && (isUntold || diary.within(span).length > 0);
      if (isTwice && !anyFault && diary.within(span, 'unclaimed').length === 0) {
        found.push(`${told(app, before)}, again ${told(app, again)}`);
      }
    }
  }
  return found;
}

/** A rule that fires while nothing is wrong, and nothing came of it. */
function missing(stage: TriggerBooks, histories: Histories, span: Span): string[] {
  const { guids, policies, options, diary } = stage;
  const intervalMs = options.intervalSecs * 1000;
  const found: string[] = [];
  for (const calm of diary.calm(span)) {
    // Members come back, read the policies, and take up their cycles.
    const fromMs = calm.fromMs + intervalMs + 30_000;
    const toMs = calm.toMs - 2 * intervalMs - 5_000;
    if (fromMs >= toMs) continue;
    for (const app of guids) {
      const rules = policies.book.throughout(app, fromMs - 3 * intervalMs, calm.toMs);
      const due = rules && firstDue(app, rules, histories, fromMs, toMs, intervalMs);
      if (!due) continue;
      const triggers = stage.platform.books.triggersOf(app);
      if (isHeldBack(triggers, due.atMs) || isBreakerOpen(app, due.atMs, diary)) continue;
      const came = triggers.some(
        ({ atMs }) => atMs >= due.atMs - intervalMs && atMs <= due.atMs + 2 * intervalMs + 5_000,
      );
      if (!came) {
        const { metric_type: metric, operator, threshold } = due.rule;
        found.push(`${timeOf(due.atMs)} ${app} ${metric} ${operator} ${threshold}`);
      }
    }
  }
  return found;
}

/** The first cycle in the span at which a rule fires. */
function firstDue(
  app: string,
  rules: readonly RuleJson[],
  histories: Histories,
  fromMs: number,
  toMs: number,
  intervalMs: number,
): { rule: RuleJson; atMs: number } | undefined {
  for (const rule of rules) {
    const durationMs = (rule.breach_duration_secs ?? 0) * 1000;
    const points = histories.within(app, rule.metric_type, fromMs - 2 * durationMs, toMs);
    const end = points.find(
      ({ atMs }) => atMs >= fromMs && fires(rule, points, atMs, durationMs, intervalMs),
    );
    if (end) return { rule, atMs: end.atMs };
  }
  return undefined;
}

function fires(
  { operator, threshold }: RuleJson,
  points: readonly Point[],
  atMs: number,
  durationMs: number,
  intervalMs: number,
): boolean {
  const inside = points.filter((point) => point.atMs >= atMs - durationMs && point.atMs <= atMs);
  const before = points.filter(
    (point) => point.atMs < atMs - durationMs && point.atMs >= atMs - 2 * durationMs,
  );
  const needed = Math.max(1, Math.ceil(0.6 * Math.floor(durationMs / intervalMs)));
  return (
    before.length > 0 &&
    inside.length >= needed &&
    inside.every(({ value }) => breaches(value, operator, BigInt(threshold)))
  );
}

/** Longest back-off after the engine ignored a trigger, because the app is at its limit. */
const ignoredMs = 600_000;

/** How long nothing is posted for an app for which the scaling engine failed several times: back_off_initial_interval. */
const breakerMs = 300_000;

/** Whether nothing may be posted for the app because the scaling engine rejected it alone. */
function isBreakerOpen(app: string, atMs: number, diary: Diary): boolean {
  return diary
    .within({ fromMs: atMs - breakerMs, toMs: atMs })
    .some((fault) => fault.name.startsWith('engine.') && fault.app === app);
}

function isHeldBack(triggers: readonly TriggerRecord[], atMs: number): boolean {
  return triggers.some((trigger) => {
    if (trigger.atMs > atMs) return false;
    if (trigger.result === 'ignored') return atMs - trigger.atMs < ignoredMs;
    return atMs - trigger.atMs < Number(trigger.coolDownSecs) * 1000;
  });
}
