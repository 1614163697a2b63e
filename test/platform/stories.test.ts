import { expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { Apps } from './apps.js';
import { LogCacheStore } from './log-cache-store.js';
import { storyMetrics, tellStory, type StoryMetric, type StoryName } from './stories.js';
import { Truth } from './truth.js';

const options = {
  guid: 'shop',
  instances: 2,
  paceSecs: 60,
  tickSecs: 5,
  metrics: storyMetrics,
  breachDurationSecs: 60,
  coolDownSecs: 60,
  seed: 5,
};

/** The rules of a story whose side of the threshold its metric is on, a number of turns after the beginning. */
async function breached(name: StoryName, turns: number): Promise<string[]> {
  const clock = new ManualClock();
  const { app, policy } = tellStory(name, options);
  const apps = new Apps({ originUs: clock.now() * 1000, seed: 5, retentionUs: 3600e6 }, clock);
  apps.add(app);
  const truth = new Truth(apps, new LogCacheStore(apps, clock, { retentionMs: 3_600_000, ingestLagMs: 0 }));
  await clock.advance(turns * 60_000);
  const windowUs = [(clock.now() - 10_000) * 1000, clock.now() * 1000] as const;
  return policy.scaling_rules.flatMap((rule) => {
    const metric = rule.metric_type as StoryMetric;
    const value =
      metric === 'throughput' || metric === 'responsetime'
        ? truth.expectedHttpMetric('shop', metric, ...windowUs)
        : truth.expectedGaugeMetric('shop', metric, ...windowUs);
    if (!value) return [];
    const breaches = rule.operator === '>' ? value.value > rule.threshold : value.value < rule.threshold;
    return breaches ? [`${metric} ${rule.operator}`] : [];
  });
}

const all = (operator: string) => storyMetrics.map((metric) => `${metric} ${operator}`);
/** Without requests there is no response time to be short. */
const allButResponseTime = all('<').filter((rule) => !rule.startsWith('responsetime'));

test.each<[StoryName, number, string[]]>([
  ['steady', 5, []],
  ['spike', 0.4, []],
  ['spike', 3, all('>')],
  ['spike', 6, all('<')],
  ['decay', 4, all('<')],
  ['idle', 3, allButResponseTime.filter((rule) => !rule.startsWith('throughput'))],
  ['at-maximum', 3, all('>')],
  ['no-data', 3, []],
])('%s after %d turns breaches what it should', async (name, turns, rules) => {
  expect(await breached(name, turns)).toEqual(rules);
});

test('an idle app is at its minimum and a busy one at its maximum', () => {
  expect(tellStory('idle', options).policy.instance_min_count).toBe(2);
  expect(tellStory('at-maximum', options).policy.instance_max_count).toBe(2);
});
