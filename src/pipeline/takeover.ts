import type { Timer } from '../util/clock.js';
import type { Evaluator } from './evaluator.js';
import type { HistoryKey } from '../history/history-key.js';
import type { WarmUp } from '../history/warm-up.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import type { KnownCoolDown } from '../ownership/elastic-claims.js';
import type { AppPolicy } from '../policy/policy.js';

export interface TakeoverOptions extends LogContext {
  readonly policyOf: (appId: string) => AppPolicy | undefined;
  readonly warmUp: Pick<WarmUp, 'want' | 'isReading'>;
  readonly evaluator: Pick<Evaluator, 'restore'>;
  /** null under static ownership, where members share nothing. */
  readonly readCoolDowns: ((appIds: readonly string[]) => Promise<ReadonlyMap<string, KnownCoolDown>>) | null;
  /** How long to wait until an old owner has written what it collected; ms. */
  readonly handoverMs: number;
}

export interface Takeover {
  /**
   * Reads histories of apps, by app id, and of those that were gained also how the scaling engine responded last. Of an
   * app that was ours before, the database may still have a back-off that a new policy has just ended.
   */
  begin(keys: ReadonlyMap<string, readonly HistoryKey[]>, gained: readonly string[]): void;
  /** Whether all histories have been read. */
  isDone(): boolean;
  /** Idempotent. */
  stop(): void;
}

/** Reads for a new owner of apps what the old owner knew. */
export function createTakeover(options: TakeoverOptions): Takeover {
  const { clock, metrics, policyOf, warmUp, evaluator, readCoolDowns } = options;
  const repeated = new RepeatedEvents({ clock, metrics, logger: options.logger.child('takeover') });
  const timers = new Set<Timer>();

  async function restoreCoolDowns(appIds: readonly string[]): Promise<void> {
    if (!readCoolDowns || appIds.length === 0) return;
    try {
      for (const [appId, known] of await readCoolDowns(appIds)) {
        const policy = policyOf(appId);
        if (policy) evaluator.restore(policy, known);
      }
    } catch (error) {
      // Without them the next claim is rejected, and its response brings them.
      repeated.error('cool-downs-not-read', error, { apps: appIds.length });
    }
  }

  function learn(keys: ReadonlyMap<string, readonly HistoryKey[]>): void {
    warmUp.want(new Map([...keys].filter(([appId]) => policyOf(appId))));
  }

  return {
    begin(keys, gained) {
      if (keys.size === 0) return;
      void restoreCoolDowns(gained);
      if (options.handoverMs <= 0) {
        learn(keys);
        return;
      }
      const timer = clock.setTimer(options.handoverMs, () => {
        timers.delete(timer);
        learn(keys);
      });
      timers.add(timer);
    },
    isDone: () => timers.size === 0 && !warmUp.isReading(),
    stop() {
      for (const timer of timers) timer.cancel();
      timers.clear();
    },
  };
}
