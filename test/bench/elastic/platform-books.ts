import type { NotedSince, NotedTrigger } from './messages.js';

/** Who asked for what and when, until it is taken. */
export class PlatformBooks {
  readonly #now: () => number;
  #apps: number[] = [];
  #members: number[] = [];
  #atMs: number[] = [];
  #triggers: NotedTrigger[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  read(app: number, member: number): void {
    this.#apps.push(app);
    this.#members.push(member);
    this.#atMs.push(this.#now());
  }

  triggered(trigger: NotedTrigger): void {
    this.#triggers.push(trigger);
  }

  /** What was noted since the last call. */
  take(): NotedSince {
    const noted = {
      reads: {
        apps: Uint16Array.from(this.#apps),
        members: Uint8Array.from(this.#members),
        atMs: Float64Array.from(this.#atMs),
      },
      triggers: this.#triggers,
    };
    this.#apps = [];
    this.#members = [];
    this.#atMs = [];
    this.#triggers = [];
    return noted;
  }
}
