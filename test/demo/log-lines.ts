import type { LogLine } from '../../src/cli/readable-log-line.js';

/** What the eventgenerator says it decided about an app. */
export type Evaluation =
  | { readonly outcome: 'fired'; readonly atMs: number; readonly adjustment: string }
  /** untilMs: wall clock; absent where unknown. */
  | { readonly outcome: 'held'; readonly atMs: number; readonly reason: string; readonly untilMs?: number }
  /** One reason per rule, in the policy's order. */
  | { readonly outcome: 'not-fired'; readonly atMs: number; readonly reasons: readonly string[] };

/** Undefined: the line is about something else. */
export function evaluationIn({
  atMs,
  event,
  data,
}: LogLine): { readonly appId: string; readonly evaluation: Evaluation } | undefined {
  const { appId, outcome, reason, untilMs, adjustment, reasons } = data;
  if (event !== 'evaluation.evaluated' || typeof appId !== 'string') return undefined;
  switch (outcome) {
    case 'fired':
      return { appId, evaluation: { outcome, atMs, adjustment: String(adjustment) } };
    case 'held':
      return {
        appId,
        evaluation: {
          outcome,
          atMs,
          reason: String(reason),
          ...(typeof untilMs === 'number' ? { untilMs } : {}),
        },
      };
    case 'not-fired':
      return {
        appId,
        evaluation: { outcome, atMs, reasons: Array.isArray(reasons) ? reasons.map(String) : [] },
      };
    default:
      return undefined;
  }
}
