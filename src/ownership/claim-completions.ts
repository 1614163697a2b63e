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

interface Waiting {
  readonly direction: Direction;
  readonly pauses: ClaimPauses;
}

const firstRetryMs = 1_000;
const maxRetryMs = 15_000;
/** One outage of the database hardly sees more apps scaled. */
const waitingLimit = 10_000;

/**
 * Tells other members what the scaling engine responded. While the database is away, a response waits until it is back:
 * without it the next owner of the app would scale it once more during its cool-down.
 */
export class ClaimCompletions {
  /** App id to its last response that is not recorded. */
  readonly #waiting = new Map<string, Waiting>();
  readonly #stopping = new AbortController();
  #recording: Promise<void> | undefined;

  constructor(private readonly options: ClaimCompletionsOptions) {}

  /** Resolves when the response is recorded, or the first attempt has failed. Never rejects. */
  async complete(appId: string, direction: Direction, pauses: ClaimPauses): Promise<void> {
    this.#waiting.delete(appId);
    try {
      await this.#record(appId, { direction, pauses }, false);
    } catch (error) {
      this.options.logger.debug('settle-failed', { appId, error: String(error) });
      if (this.#matters(pauses)) this.#keep(appId, { direction, pauses });
    }
  }

  /** Records what still waits, if that takes no longer than a second. Idempotent; never rejects. */
  async stop(): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    this.#stopping.abort();
    const { clock, metrics } = this.options;
    const recorded = Promise.resolve(this.#recording).then(() => this.#recordWaiting());
    await endsWithin(clock, claimDeadlineMs, recorded);
    if (this.#waiting.size > 0) metrics.claimAnswersLost.inc(this.#waiting.size);
    this.#waiting.clear();
  }

  async #record(appId: string, { direction, pauses }: Waiting, isLate: boolean): Promise<void> {
    const { clock, store, nextClaimId } = this.options;
    const claimId = nextClaimId();
    if (claimId === null) return;
    const { coolDownUntilMs, ignoredUntilMs } = pauses;
    const ignoredForMs = ignoredUntilMs === null ? null : Math.max(0, ignoredUntilMs - clock.now());
    await store.complete({ appId, claimId, direction, coolDownUntilMs, ignoredForMs, isLate });
  }

  #keep(appId: string, late: Waiting): void {
    if (this.#stopping.signal.aborted || this.#waiting.size >= waitingLimit) {
      this.options.metrics.claimAnswersLost.inc();
      return;
    }
    this.#waiting.set(appId, late);
    this.#recording ??= this.#recordLater().finally(() => (this.#recording = undefined));
  }

  async #recordLater(): Promise<void> {
    const { clock, random = Math.random } = this.options;
    const { signal } = this.#stopping;
    for (let attempts = 1; this.#waiting.size > 0 && !signal.aborted;) {
      await sleep(clock, backOff(firstRetryMs, maxRetryMs, attempts, random), signal);
      attempts = (await this.#recordWaiting()) ? 1 : attempts + 1;
    }
  }

  /** Returns whether the database responded. */
  async #recordWaiting(): Promise<boolean> {
    for (const [appId, late] of this.#waiting) {
      try {
        if (this.#matters(late.pauses)) await this.#record(appId, late, true);
      } catch {
        return false;
      }
      // A newer response may have taken its place meanwhile.
      if (this.#waiting.get(appId) === late) this.#waiting.delete(appId);
    }
    return true;
  }

  /** Whether a new owner would post too early without this. */
  #matters({ coolDownUntilMs, ignoredUntilMs }: ClaimPauses): boolean {
    const nowMs = this.options.clock.now();
    return (coolDownUntilMs ?? 0) > nowMs || (ignoredUntilMs ?? 0) > nowMs;
  }
}
