import { backOff } from '../util/back-off.js';
import { endsWithin, sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import type { Direction } from '../policy/policy.js';
import type { ClaimPauses } from './claims.js';
import { claimDeadlineMs } from './timing.js';
import type { TriggerStore } from './trigger-store.js';

export interface ClaimCompletionsOptions {
  readonly clock: Clock;
  readonly store: Pick<TriggerStore, 'complete'>;
  /** Names a post; null where there was no lease yet, and therefore no post. */
  readonly nextClaimId: () => string | null;
  readonly logger: Pick<Logger, 'debug'>;
  readonly metrics: Pick<Metrics, 'claimAnswersLost'>;
  /** 0 ≤ random() < 1 */
  readonly random?: () => number;
}

export interface ClaimCompletions {
  /** Resolves when the answer is recorded, or the first attempt has failed. Never rejects. */
  complete(appId: string, direction: Direction, answer: ClaimPauses): Promise<void>;
  /** Records what still waits, if that takes no longer than a second. Idempotent; never rejects. */
  stop(): Promise<void>;
}

interface Waiting {
  readonly direction: Direction;
  readonly answer: ClaimPauses;
}

const firstRetryMs = 1_000;
const maxRetryMs = 15_000;
/** More apps are hardly scaled in one outage of the database. */
const waitingLimit = 10_000;

/**
 * Tells other members what the scaling engine answered. Where the database is just away the answer waits until it is
 * back: without it the next owner of the app would scale it once more during its cool-down.
 */
export function createClaimCompletions(options: ClaimCompletionsOptions): ClaimCompletions {
  const { clock, store, nextClaimId, logger, metrics } = options;
  const random = options.random ?? Math.random;
  /** App id to its last answer that is not recorded. */
  const waiting = new Map<string, Waiting>();
  const stopping = new AbortController();
  let recording: Promise<void> | undefined;

  async function record(appId: string, { direction, answer }: Waiting, isLate: boolean): Promise<void> {
    const claimId = nextClaimId();
    if (claimId === null) return;
    const { coolDownUntilMs, ignoredUntilMs } = answer;
    const ignoredForMs = ignoredUntilMs === null ? null : Math.max(0, ignoredUntilMs - clock.now());
    await store.complete({ appId, claimId, direction, coolDownUntilMs, ignoredForMs, isLate });
  }

  function keep(appId: string, late: Waiting): void {
    if (stopping.signal.aborted || waiting.size >= waitingLimit) {
      metrics.claimAnswersLost.inc();
      return;
    }
    waiting.set(appId, late);
    recording ??= recordLater().finally(() => (recording = undefined));
  }

  async function recordLater(): Promise<void> {
    for (let attempts = 1; waiting.size > 0 && !stopping.signal.aborted;) {
      await sleep(clock, backOff(firstRetryMs, maxRetryMs, attempts, random), stopping.signal);
      attempts = (await recordWaiting()) ? 1 : attempts + 1;
    }
  }

  /** Returns whether the database answered. */
  async function recordWaiting(): Promise<boolean> {
    for (const [appId, late] of waiting) {
      try {
        if (holdsBack(late.answer, clock.now())) await record(appId, late, true);
      } catch {
        return false;
      }
      // A newer answer may have taken its place meanwhile.
      if (waiting.get(appId) === late) waiting.delete(appId);
    }
    return true;
  }

  return {
    async complete(appId, direction, answer) {
      waiting.delete(appId);
      try {
        await record(appId, { direction, answer }, false);
      } catch (error) {
        logger.debug('settle-failed', { appId, error: String(error) });
        if (holdsBack(answer, clock.now())) keep(appId, { direction, answer });
      }
    },
    async stop() {
      if (stopping.signal.aborted) return;
      stopping.abort();
      await endsWithin(clock, claimDeadlineMs, Promise.resolve(recording).then(recordWaiting));
      if (waiting.size > 0) metrics.claimAnswersLost.inc(waiting.size);
      waiting.clear();
    },
  };
}

/** Whether the next owner would do something that it should not if it did not know. */
function holdsBack({ coolDownUntilMs, ignoredUntilMs }: ClaimPauses, nowMs: number): boolean {
  return (coolDownUntilMs ?? 0) > nowMs || (ignoredUntilMs ?? 0) > nowMs;
}
