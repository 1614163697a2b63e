import type { Clock } from '../../src/util/clock.js';
import { SimulatedApp, type AppOptions, type AppSurroundings } from './app-model.js';

/** All apps of the platform. */
export class Apps implements Iterable<SimulatedApp> {
  readonly #apps = new Map<string, SimulatedApp>();

  constructor(
    private readonly context: AppSurroundings,
    private readonly clock: Pick<Clock, 'now'>,
  ) {}

  get size(): number {
    return this.#apps.size;
  }

  get(guid: string): SimulatedApp | undefined {
    return this.#apps.get(guid);
  }

  /** For callers that know the app exists; throws otherwise. */
  require(guid: string): SimulatedApp {
    const app = this.#apps.get(guid);
    if (!app) throw new Error(`there is no app ${guid} on the platform: add it first`);
    return app;
  }

  add(options: AppOptions): SimulatedApp {
    if (this.#apps.has(options.guid)) throw new Error(`app ${options.guid} is on the platform already`);
    const app = new SimulatedApp(options, this.context, this.clock.now() * 1000);
    this.#apps.set(options.guid, app);
    return app;
  }

  remove(guid: string): void {
    this.#apps.delete(guid);
  }

  [Symbol.iterator](): Iterator<SimulatedApp> {
    return this.#apps.values();
  }
}
