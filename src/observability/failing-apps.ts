import type { Clock } from '../util/clock.js';
import type { LogData, Logger } from './logger.js';
import type { Metrics } from './metrics.js';

/** What has failed since the last line of its kind. */
interface Kind {
  toldAtMs: number;
  failures: number;
  readonly appIds: Set<string>;
  newest: { readonly error: Error; readonly facts: LogData } | null;
}

const lineIntervalMs = 60_000;
const namedApps = 5;

/**
 * Logs an error that many apps can have: the first of a kind at once, then one line a minute and kind, with the number
 * of apps that failed in that minute and the ids of some. Holds each id once for each kind, for a minute.
 */
export class FailingApps {
  readonly #kinds = new Map<string, Kind>();

  constructor(
    private readonly options: {
      readonly clock: Pick<Clock, 'monotonic'>;
      readonly logger: Logger;
      readonly metrics: Pick<Metrics, 'logLinesSuppressed'>;
      readonly event: string;
    },
  ) {}

  /** `kind`: one of few. The line has the facts and the error of the newest failure. */
  failed(kind: string, appId: string, error: Error, facts: LogData): void {
    let known = this.#kinds.get(kind);
    if (!known) {
      known = { toldAtMs: -Infinity, failures: 0, appIds: new Set(), newest: null };
      this.#kinds.set(kind, known);
    }
    known.failures++;
    known.appIds.add(appId);
    known.newest = { error, facts: { appId, ...facts } };
    if (!this.#tellIfDue(known)) this.options.metrics.logLinesSuppressed.inc();
  }

  /** Tells what waits for its line. To be called every few seconds. */
  refresh(): void {
    for (const kind of this.#kinds.values()) this.#tellIfDue(kind);
  }

  #tellIfDue(kind: Kind): boolean {
    const { clock, event, logger } = this.options;
    const { appIds, failures, newest } = kind;
    const nowMs = clock.monotonic();
    if (!newest || nowMs - kind.toldAtMs < lineIntervalMs) return false;
    const counted = failures > 1 ? { suppressed: failures - 1 } : {};
    const apps = { apps: appIds.size, appIds: [...appIds].slice(0, namedApps) };
    logger.error(event, newest.error, { ...newest.facts, ...apps, ...counted });
    kind.toldAtMs = nowMs;
    kind.failures = 0;
    kind.appIds.clear();
    kind.newest = null;
    return true;
  }
}
