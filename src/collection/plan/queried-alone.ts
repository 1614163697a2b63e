import type { Clock } from '../../util/clock.js';

/** An app that is too busy for a query stays so for a while; one that was it by chance must not stay alone for ever. */
const aloneMs = 10 * 60_000;
/** Each costs a request a cycle that others share. With more of them it is not the apps that are the trouble. */
const maxApps = 1000;

/** Apps that are asked for alone for a while, so that not every cycle of their neighbours begins with a failing query. */
export class AppsQueriedAlone {
  /** Until when, monotonic ms; oldest first. */
  readonly #until = new Map<string, number>();

  constructor(private readonly clock: Pick<Clock, 'monotonic'>) {}

  has(appId: string): boolean {
    const until = this.#until.get(appId);
    if (until === undefined) return false;
    if (this.clock.monotonic() < until) return true;
    this.#until.delete(appId);
    return false;
  }

  add(appId: string): void {
    this.#until.delete(appId);
    const [oldest] = this.#until.keys();
    if (oldest !== undefined && this.#until.size >= maxApps) this.#until.delete(oldest);
    this.#until.set(appId, this.clock.monotonic() + aloneMs);
  }
}
