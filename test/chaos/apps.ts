import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import type { AppOptions } from '../platform/app-model.js';
import { fraction, guidOf, hashText, mix } from '../platform/deterministic.js';
import type { Load, LoadScript } from '../platform/load-script.js';
import { policyOf, when, type RuleJson } from '../pipeline/policies.js';
import type { ChaosOptions } from './options.js';
import { PolicyBook } from './policy-book.js';
import type { Random } from './random.js';

/** Seconds for which an app's load stays as it is. */
const loadStepSecs = 90;
/** What an app's load is a multiple of: quiet, ordinary, far above every threshold. */
const levels = [0, 0.1, 0.5, 0.5, 2, 3] as const;
const longestTickSecs = 5;

/** Pairs of a rule for scaling out and one for scaling in. */
const pairs = {
  cpu: { above: 80, below: 20 },
  throughput: { above: 16, below: 3 },
  memoryused: { above: 240, below: 130 },
  memoryutil: { above: 47, below: 25 },
  responsetime: { above: 60, below: 1 },
  jobs: { above: 40, below: 6 },
} as const;
type RuleMetric = keyof typeof pairs;
const ruleMetrics = Object.keys(pairs) as RuleMetric[];

export function guidOfApp(app: number, seed: number): string {
  return guidOf(hashText(`chaos ${app}`, seed));
}

export function appOptions(
  app: number,
  { seed, intervalSecs }: Pick<ChaosOptions, 'seed' | 'intervalSecs'>,
): AppOptions {
  // Every window of an http metric holds a tick, so that log-cache knows the app in it.
  const tickSecs = Math.min(longestTickSecs, intervalSecs);
  const guid = guidOfApp(app, seed);
  const instances = 1 + (app % 3);
  const level = levelScript(hashText(guid, seed));
  return {
    guid,
    instances,
    minInstances: 1,
    maxInstances: 8,
    tickSecs,
    load: loadOf(level, instances),
    customMetrics: [
      { name: 'jobs', unit: 'jobs', intervalSecs: tickSecs, total: (secs) => 50 * level(secs) * instances },
    ],
  };
}

function levelScript(seed: number): (secs: number) => number {
  const shiftSecs = fraction(seed) * loadStepSecs;
  return (secs) => {
    const step = Math.floor((secs + shiftSecs) / loadStepSecs);
    return levels[Math.floor(fraction(mix(seed, step + 1000)) * levels.length)] ?? 0;
  };
}

function loadOf(level: (secs: number) => number, instances: number): LoadScript {
  return (secs): Load => {
    const total = level(secs) * instances;
    return { requestsPerSecond: 20 * total, cpuPercent: 100 * total, memoryMiB: 100 * total };
  };
}

function randomPolicy(random: Random, intervalSecs: number): { rules: RuleJson[] } {
  const first = random.pick(ruleMetrics);
  const metrics = random.chance(0.3) ? [first, random.pick(ruleMetrics)] : [first];
  const rules = [...new Set(metrics)].flatMap((metric) => {
    const more = {
      breach_duration_secs: random.whole(2, 4) * intervalSecs,
      cool_down_secs: random.whole(3, 9) * intervalSecs,
    };
    return [
      when(`${metric} > ${pairs[metric].above}`, '+1', more),
      when(`${metric} < ${pairs[metric].below}`, '-1', more),
    ];
  });
  return { rules };
}

/** The policies in policy_db: one for each app at first, then changed, removed, broken and brought back all the time. */
export class Policies {
  readonly book = new PolicyBook();
  readonly #guids: readonly string[];
  /** When every app had its first policy, wall-clock ms. */
  insertedMs = Infinity;
  #timer: NodeJS.Timeout | undefined;
  #last: Promise<void> = Promise.resolve();

  constructor(
    private readonly pool: Pick<pg.Pool, 'query'>,
    private readonly random: Random,
    private readonly intervalSecs: number,
    guids: readonly string[],
  ) {
    this.#guids = guids;
  }

  async insertAll(): Promise<void> {
    for (const guid of this.#guids)
      await this.#write(guid, randomPolicy(this.random, this.intervalSecs).rules);
    this.insertedMs = Date.now();
  }

  startChurn(everyMs: number): void {
    this.#timer = setInterval(() => (this.#last = this.#last.then(() => this.#churn())), everyMs);
  }

  async stopChurn(): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
  }

  async #churn(): Promise<void> {
    const guid = this.random.pick(this.#guids);
    const { rules } = randomPolicy(this.random, this.intervalSecs);
    const fate = this.random.next();
    if (fate < 0.7) await this.#write(guid, rules);
    else await this.#write(guid, fate < 0.9 ? undefined : 'broken');
  }

  /** Undefined removes the policy. What the database may or may not have taken is noted as uncertain. */
  async #write(guid: string, rules: readonly RuleJson[] | undefined | 'broken'): Promise<void> {
    this.book.uncertain(guid, Date.now());
    try {
      if (rules === undefined) {
        await this.pool.query('delete from policy_json where app_id = $1', [guid]);
      } else {
        await this.pool.query(
          `insert into policy_json (app_id, policy_json, guid) values ($1, $2::json, $3)
           on conflict (app_id) do update set policy_json = excluded.policy_json, guid = excluded.guid`,
          [guid, JSON.stringify(rules === 'broken' ? ['x'] : policyOf(...rules)), randomUUID()],
        );
      }
      this.book.note(guid, Date.now(), rules === 'broken' || rules === undefined ? [] : rules);
    } catch {
      // Its database is away just now: whichever policy is in force is uncertain until the next change.
    }
  }
}
