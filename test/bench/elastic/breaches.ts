import type pg from 'pg';
import { insertPolicies } from '../../support/autoscaler-tables.js';
import { appGuid } from '../prepared/apps.js';
import type { ElasticPlatform } from './platform-process.js';

/** Of every rule; the shortest that the policy schema allows. */
export const breachSecs = 60;

/** So long after an ordinary app was scaled nothing may be posted for it: longer than the benchmark lasts. */
const longCoolDownSecs = 3_600;
/** An app that is in breach all along is scaled again as soon as this is over. */
const shortCoolDownSecs = 10;

/** One app in this many is in breach all along. */
const permanentEvery = 100;
/** One app in this many comes into breach each second. */
const trickleEvery = 1_000;

/**
 * What makes rules fire: a hundredth of the apps is in breach all along, and each second some of the others come into
 * breach for the first time, and stay there. So at any moment rules are through any part of their breach duration.
 */
export class Breaches {
  readonly #platform: Pick<ElasticPlatform, 'breach'>;
  readonly #apps: number;
  /** Wall-clock ms since when an app is in breach. */
  readonly #fromMs = new Map<number, number>();
  #nextApp = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(platform: Pick<ElasticPlatform, 'breach'>, apps: number) {
    this.#platform = platform;
    this.#apps = apps;
  }

  /** One rule for every app. */
  async insertPolicies(pool: pg.Pool): Promise<void> {
    await insertPolicies(
      pool,
      Array.from({ length: this.#apps }, (_, app) => [appGuid(app), policy(isPermanent(app))]),
    );
  }

  start(): void {
    const nowMs = Date.now();
    for (const app of this.permanent()) this.#platform.breach(app, nowMs);
    this.#timer = setInterval(() => this.begin(1), (1000 * trickleEvery) / this.#apps);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Lets so many more apps come into breach now. */
  begin(count: number): void {
    for (let i = 0; i < count; i++) {
      if (isPermanent(this.#nextApp)) this.#nextApp++;
      if (this.#nextApp >= this.#apps) return;
      const fromMs = Date.now();
      this.#platform.breach(this.#nextApp, fromMs);
      this.#fromMs.set(this.#nextApp++, fromMs);
    }
  }

  permanent(): number[] {
    return Array.from({ length: this.#apps }, (_, app) => app).filter(isPermanent);
  }

  /** When the trigger of each app that came into breach is due, wall-clock ms: not later than this it fires. */
  *due(): Generator<{ readonly app: number; readonly dueMs: number }> {
    for (const [app, fromMs] of this.#fromMs) yield { app, dueMs: fromMs + breachSecs * 1000 };
  }
}

function isPermanent(app: number): boolean {
  return app % permanentEvery === 0;
}

function policy(permanent: boolean): object {
  return {
    instance_min_count: 1,
    instance_max_count: 20,
    scaling_rules: [
      {
        metric_type: 'cpu',
        breach_duration_secs: breachSecs,
        threshold: 80,
        operator: '>',
        cool_down_secs: permanent ? shortCoolDownSecs : longCoolDownSecs,
        adjustment: '+1',
      },
    ],
  };
}
