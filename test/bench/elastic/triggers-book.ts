import type { NotedTrigger } from './messages.js';
import type { Span } from './cycles-book.js';

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
  postedTwice(span: Span, intervalMs: number): { before: NotedTrigger; again: NotedTrigger }[] {
    return this.within(span).flatMap((again) => {
      const all = this.#triggers.get(again.app) ?? [];
      const before = all[all.indexOf(again) - 1];
      if (!before) return [];
      const isTwice = again.atMs < before.coolDownUntilMs || again.atMs - before.atMs < intervalMs;
      return isTwice ? [{ before, again }] : [];
    });
  }
}
