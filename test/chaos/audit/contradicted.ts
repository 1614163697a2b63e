import type { TriggerRecord } from '../../platform/books.js';
import { trueRow, type Windows } from '../../pipeline/audit.js';
import type { Diary, Span } from '../diary.js';
import type { Stage } from '../stage.js';
import { finding, type Finding } from './finding.js';
import { breaches, postMs, told, triggersOf } from './triggers.js';

/** How closely the past is looked at. */
const stepMs = 2_500;
const httpMetricTypes: ReadonlySet<string> = new Set(['throughput', 'responsetime']);

/**
 * Triggers for which there was never a reason while their rule was judged, whatever was stored: nobody is scaled in
 * because requests could not be counted, or because a clock was wrong.
 */
export function auditReasons(stage: Stage, windows: Windows): Finding {
  const found: string[] = [];
  for (const { app, trigger } of triggersOf(stage)) {
    const span = judgedWithin(trigger, stage.diary);
    if (!canTell(trigger, span, stage.diary, windows)) continue;
    if (!wasReason(app, trigger, span, stage, windows)) found.push(told(app, trigger));
  }
  return finding('triggers that what was so contradicts', found);
}

/** When the values were of which the rule was judged. */
function judgedWithin({ atMs, breachDurationSecs }: TriggerRecord, diary: Diary): Span {
  const fromMs = atMs - postMs - Number(breachDurationSecs) * 1000;
  const behindMs = diary
    .within({ fromMs, toMs: atMs })
    .reduce((most, { aheadMs = 0 }) => Math.max(most, -aheadMs), 0);
  return { fromMs: fromMs - behindMs, toMs: atMs };
}

/** A mean of some samples only may be anything between them. */
function canTell(
  { metricType }: TriggerRecord,
  { fromMs, toMs }: Span,
  diary: Diary,
  { statWindowSecs }: Windows,
): boolean {
  if (httpMetricTypes.has(metricType)) return true;
  const faults = diary.within({ fromMs: fromMs - statWindowSecs * 1000, toMs });
  return !faults.some(
    ({ effects, aheadMs = 0 }) => effects.has('partial') || effects.has('late') || aheadMs > 0,
  );
}

function wasReason(
  app: string,
  { metricType, operator, threshold }: TriggerRecord,
  { fromMs, toMs }: Span,
  { platform }: Stage,
  windows: Windows,
): boolean {
  for (let atMs = toMs; atMs >= fromMs; atMs -= stepMs) {
    const timestampNs = BigInt(Math.round(atMs)) * 1_000_000n;
    const { value } = trueRow(
      { appId: app, metricType, timestampNs, value: '', unit: '' },
      platform,
      windows,
    );
    if (breaches(value === '' ? undefined : BigInt(value), operator, BigInt(threshold))) return true;
  }
  return false;
}
