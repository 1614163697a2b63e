import type { NotedTrigger } from './messages.js';
import type { Span } from './rounds-book.js';

/** All triggers that reached the platform. */
export class TriggersBook {
  /** By app, oldest first. */
  readonly #triggers = new Map<number, NotedTrigger[]>();

  add(triggers: readonly NotedTrigger[]): void {
    for (const trigger of triggers) {
      const known = this.#triggers.get(trigger.app);
      if (known) known.push(trigger);
      else this.#triggers.set(trigger.app, [trigger]);
    }
  }

  within({ fromMs, toMs }: Span): NotedTrigger[] {
    return [...this.#triggers.values()].flat().filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  }

  /** The app's first trigger from a time on. */
  firstOf(app: number, fromMs = -Infinity): NotedTrigger | undefined {
    return this.#triggers.get(app)?.find(({ atMs }) => atMs >= fromMs);
  }

  /** Triggers in the span that came within intervalMs of the app's one before, or while its cool-down ran. */
  postedTwice(span: Span, intervalMs: number): number {
    return this.within(span).filter((trigger) => {
      const all = this.#triggers.get(trigger.app) ?? [];
      const before = all[all.indexOf(trigger) - 1];
      return before && (trigger.atMs < before.coolDownUntilMs || trigger.atMs - before.atMs < intervalMs);
    }).length;
  }
}
