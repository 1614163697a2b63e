import type { Clock } from '../../src/util/clock.js';

/** [fromUs, toUs), µs since the epoch. */
type Stretch = readonly [fromUs: number, toUs: number];

/**
 * Carries gorouter's http timers to log-cache. While it is dead they are lost, and nothing else is: container metrics
 * and custom metrics have ways of their own.
 */
export class HttpForwarder {
  /** When it was dead; the last one may not have ended. */
  readonly #dead: { readonly fromUs: number; toUs: number }[] = [];

  constructor(private readonly clock: Pick<Clock, 'now'>) {}

  takeDown(): void {
    if (this.#dead.at(-1)?.toUs !== Infinity) this.#dead.push({ fromUs: this.#nowUs, toUs: Infinity });
  }

  bringUp(): void {
    const last = this.#dead.at(-1);
    if (last?.toUs === Infinity) last.toUs = this.#nowUs;
  }

  carries(timestampUs: number): boolean {
    return !this.#dead.some(({ fromUs, toUs }) => timestampUs >= fromUs && timestampUs < toUs);
  }

  /** The parts of a stretch of time whose timers were carried. */
  carried(whole: Stretch): Stretch[] {
    let parts: Stretch[] = [whole];
    for (const dead of this.#dead) {
      parts = parts.flatMap(([fromUs, toUs]): Stretch[] => [
        [fromUs, Math.min(toUs, dead.fromUs)],
        [Math.max(fromUs, dead.toUs), toUs],
      ]);
    }
    return parts.filter(([fromUs, toUs]) => fromUs < toUs);
  }

  get #nowUs(): number {
    return this.clock.now() * 1000;
  }
}
