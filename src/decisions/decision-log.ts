import type { ReasonCode } from '../explanation/reason.js';
import type { LogContext } from '../observability/repeated-events.js';
import type { DecisionChange } from './decision-store.js';
import { isoTime } from '../util/iso-time.js';

/** Codes in which an app is not scaled as its policy wants it. Broken policies are told by who reads the policies. */
const toldCodes: ReadonlySet<ReasonCode | null> = new Set<ReasonCode>([
  'at-max',
  'at-min',
  'not-collected',
  'breaker-open',
  'lease-lost',
]);

const appIntervalMs = 600_000;
const minuteMs = 60_000;
const linesPerMinute = 60;

/**
 * Returns what logs changes to or from the codes that an operator may want to know: at most one line an app in ten
 * minutes, and 60 lines a minute. The next line has the number of those left out. Remembers 600 apps at most.
 */
export function createDecisionLog(context: LogContext): (change: DecisionChange) => void {
  const { clock, metrics } = context;
  const logger = context.logger.child('decisions');
  /** When the newest line of an app was logged, oldest first; monotonic ms. */
  const loggedAtMs = new Map<string, number>();
  /** Of the newest lines. */
  const lineTimesMs: number[] = [];
  let suppressed = 0;

  function mayLog(appId: string, nowMs: number): boolean {
    for (const [old, ms] of loggedAtMs) {
      if (nowMs - ms < appIntervalMs) break;
      loggedAtMs.delete(old);
    }
    const [oldestMs = -Infinity] = lineTimesMs;
    const isFull = lineTimesMs.length >= linesPerMinute && nowMs - oldestMs < minuteMs;
    if (isFull || loggedAtMs.has(appId)) return false;
    loggedAtMs.set(appId, nowMs);
    lineTimesMs.push(nowMs);
    if (lineTimesMs.length > linesPerMinute) lineTimesMs.shift();
    return true;
  }

  return ({ appId, atMs, from, to, rule, value, text }) => {
    if (!toldCodes.has(from) && !toldCodes.has(to)) return;
    if (!mayLog(appId, clock.monotonic())) {
      suppressed++;
      metrics.logLinesSuppressed.inc();
      return;
    }
    const since = isoTime(atMs);
    const facts = { appId, from, to, since, rule: rule ?? undefined, value: value ?? undefined, text };
    logger.info('decision-changed', suppressed > 0 ? { ...facts, suppressed } : facts);
    suppressed = 0;
  };
}
