import type { Clock } from '../../util/clock.js';

/** An app that is too busy for a shared query mostly stays so for a while, but not for ever. */
const aloneMs = 10 * 60_000;
/** Each app costs an own request per cycle. Where more apps fail, log-cache is the cause. */
const maxApps = 1000;

/** Apps that have queries of their own for a while, so that they do not make shared queries fail in every cycle. */
export class AppsQueriedAlone {
  /** When that ends, monotonic ms; in the order in which they were added. */
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
