import { localLeaseMs } from '../../src/ownership/timing.js';
import type { Benchmark } from './benchmark.js';
import { pause } from './figures.js';
import { openSlowDatabase, type SlowDatabase } from './processes/slow-database.js';
import { scrapedWhile } from './processes/looking.js';
import { increase, type Scrape } from './processes/prometheus-text.js';
import { insertBenchPolicies } from './scene/policies.js';
import { withScene } from './scene/scene.js';

const delayMs = 500;
const startTimeoutMs = 120_000;

/** A member that owns a tenth of a large foundation, while its database takes half a second for each statement. */
export const slowDatabase: Benchmark = {
  name: 'slow-database',
  describe:
    'a member of ten keeps its lease for ten minutes while each statement takes 500 ms, with 500,000 policies',
  run(context) {
    const policies = context.quick ? 50_000 : 500_000;
    const secs = context.quick ? 120 : 600;
    let slow: SlowDatabase | undefined;
    context.releaseAtEnd(async () => slow?.close());
    return withScene(
      context,
      {
        delayMs: 100,
        // So few are collected that collection is not what is measured.
        config: { collectionIntervalSecs: 3_600, policyPollerIntervalSecs: 40 },
        env: { EVENTGENERATOR_POOL_MODE: 'elastic' },
        peers: 9,
        urlOf: async (url) => (slow = await openSlowDatabase(url)).url,
        prepare: async ({ pool }) => {
          await insertBenchPolicies(pool, policies);
          await pool.query('vacuum analyze policy_json');
        },
      },
      async (scene) => {
        await scene.eventgenerator.line('eventgenerator.started', startTimeoutMs);
        context.progress(`slow-database: ${secs} s with ${delayMs} ms for each statement`);
        slow?.setDelay(delayMs);
        const { scrapes } = await scrapedWhile(scene.eventgenerator, () => pause(secs * 1000));
        const figures = figuresOf(scrapes);
        return { figures: [...figures, { name: 'delayed_answers', value: slow?.delayed ?? NaN }] };
      },
    );
  },
};

const prefix = 'autoscaler_eventgenerator_';

function figuresOf(scrapes: readonly Scrape[]) {
  const ages = scrapes.map((scrape) => scrape.sum(`${prefix}lease_age_seconds`));
  const [first] = scrapes;
  const last = scrapes.at(-1);
  if (!first || !last) throw new Error('the member was not looked at');
  return [
    // -1 stands for none at all.
    { name: 'looks_without_lease', value: ages.filter((age) => age < 0).length, target: { atMost: 0 } },
    { name: 'oldest_lease_s', value: Math.max(...ages), target: { atMost: localLeaseMs / 1000 } },
    { name: 'renewals', value: increase(first, last, `${prefix}lease_renewals_total`) },
    { name: 'policies', value: last.sum(`${prefix}policies`) },
    { name: 'policy_polls', value: increase(first, last, `${prefix}policy_polls_total`) },
  ];
}
