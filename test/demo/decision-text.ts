import { breachOf, type AppState } from './app-state.js';

export interface DecisionText {
  /** The same as long as nothing new was decided, whatever countdown the text shows. */
  readonly kind: string;
  /** At most 20 characters, for terminals of 80 columns. */
  readonly text: string;
}

/** The last decision about an app, in the words of someone who sees this for the first time. */
export function decisionText(app: AppState, nowMs: number): DecisionText {
  const { evaluation } = app;
  if (!evaluation) return same('not evaluated yet');
  switch (evaluation.outcome) {
    case 'fired':
      return firedText(app, evaluation.atMs, evaluation.adjustment);
    case 'held':
      return heldText(app, evaluation.reason, evaluation.untilMs, nowMs);
    case 'not-fired':
      return notFiredText(app, evaluation.reasons, nowMs);
  }
}

function notFiredText({ actor, points }: AppState, reasons: readonly string[], nowMs: number): DecisionText {
  if (reasons.includes('no-data')) return same('kept: no data');
  const breach = breachOf(actor, points);
  if (breach) {
    const past = Math.max(0, Math.floor((nowMs - breach.beganMs) / 1000));
    const secs = Math.min(past, actor.breachDurationSecs);
    return { kind: `breached ${breach.side}`, text: `breached ${secs} of ${actor.breachDurationSecs} s` };
  }
  return same(
    reasons.every((reason) => reason === 'not-breached') ? 'kept: within limits' : 'kept: too few values',
  );
}

/** The trigger is booked when the platform has answered, a moment after the decision. */
function firedText(app: AppState, decidedMs: number, adjustment: string): DecisionText {
  const { trigger } = app;
  if (!trigger || trigger.atMs < decidedMs) return same(`asks for ${adjustment}`);
  const { result, before, after } = trigger;
  if (result === 'scaled') return same(`scaled from ${before ?? '?'} to ${after ?? '?'}`);
  return result === 'ignored' ? atLimitText(app) : same(`asked: ${result}`);
}

function heldText(app: AppState, reason: string, untilMs: number | undefined, nowMs: number): DecisionText {
  switch (reason) {
    case 'at-limit-backoff':
      return atLimitText(app);
    case 'posted-recently':
      return same('asked a moment ago');
    case 'cooling-down': {
      const left =
        untilMs === undefined ? '' : `, ${Math.max(0, Math.ceil((untilMs - nowMs) / 1000))} s left`;
      return { kind: reason, text: `cool-down${left}` };
    }
    default:
      return same(`waits: ${reason.replaceAll('-', ' ')}`);
  }
}

/** The scaling engine has ignored, or would ignore, what the app's rules want. */
function atLimitText({ actor, instances }: AppState): DecisionText {
  if (instances >= actor.maxInstances) return same('kept: at its maximum');
  return same(instances <= actor.minInstances ? 'kept: at its minimum' : 'kept: was ignored');
}

function same(text: string): DecisionText {
  return { kind: text, text };
}
