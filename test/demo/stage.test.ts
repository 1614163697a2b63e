import { expect, test } from '@jest/globals';
import { Books } from '../platform/books.js';
import type { Apps } from '../platform/apps.js';
import type { ScalingTrigger } from '../platform/scaling-trigger.js';
import { ManualClock } from '../support/manual-clock.js';
import { actor, pointsUntil } from './examples.js';
import { Stage } from './stage.js';

const trigger: ScalingTrigger = {
  app_id: actor.guid,
  metric_type: 'throughput',
  metric_unit: 'rps',
  breach_duration_secs: 5n,
  threshold: 80n,
  operator: '>',
  cool_down_secs: 10n,
  adjustment: '+1',
};

function setUp() {
  const clock = new ManualClock();
  const books = new Books(clock);
  const stage = new Stage({ clock, actors: [actor], breachDurationSecs: 5, timeoutSecs: 120 });
  const apps = { get: () => ({ instances: 2 }) } as unknown as Apps;
  const scale = (before: number, after: number) =>
    books.triggered(
      actor.guid,
      trigger,
      { kind: 'scaled', before, after, coolDownUntilMs: clock.now() + 10_000 },
      clock.now(),
    );
  return { clock, books, stage, scale, runPlatform: () => stage.platformRuns({ apps, books }) };
}

test('there are no apps before the platform runs', () => {
  const { stage, runPlatform } = setUp();
  expect(stage.state()).toMatchObject({ apps: [], scaledOut: 0 });
  runPlatform();
  expect(stage.state().apps).toEqual([{ actor, instances: 2, points: [] }]);
});

test('a reaction is measured from the last value that did not breach', () => {
  const { clock, stage, scale, runPlatform } = setUp();
  runPlatform();
  stage.measured(actor.guid, pointsUntil(clock.now() - 60, 50, 90, 90, 90, 90, 90));
  scale(2, 3);
  stage.measured(actor.guid, pointsUntil(clock.now() + 1000, 60));
  expect(stage.state()).toMatchObject({
    scaledOut: 1,
    scaledIn: 0,
    scalings: [{ from: 2, to: 3, reaction: { ms: 5060, since: 'breach' } }],
  });
});

test('after a cool-down that outlasted the breach duration it is measured from its end', async () => {
  const { clock, stage, scale, runPlatform } = setUp();
  runPlatform();
  stage.measured(actor.guid, pointsUntil(clock.now(), 50, 90, 90, 90, 90, 90));
  scale(2, 3);
  stage.state();
  await clock.advance(10_300);
  stage.measured(actor.guid, pointsUntil(clock.now(), 90, 90));
  scale(3, 4);
  expect(stage.state().scalings.map(({ reaction }) => reaction)).toEqual([
    { ms: 5000, since: 'breach' },
    { ms: 300, since: 'cool-down' },
  ]);
});

test('nothing is said about a reaction to values that nobody saw', () => {
  const { stage, scale, runPlatform } = setUp();
  runPlatform();
  scale(2, 3);
  expect(stage.state().scalings[0]).not.toHaveProperty('reaction');
});

test('what the scaling engine ignored is no scaling, but the newest trigger', () => {
  const { books, clock, stage, runPlatform } = setUp();
  runPlatform();
  books.triggered(actor.guid, trigger, { kind: 'ignored', before: 2 }, clock.now());
  expect(stage.state()).toMatchObject({ scalings: [], apps: [{ trigger: { result: 'ignored' } }] });
});

test('remembers no more points than a screen can show', () => {
  const { clock, stage, runPlatform } = setUp();
  runPlatform();
  for (let i = 0; i < 1000; i++) stage.measured(actor.guid, pointsUntil(clock.now() + i * 1000, i));
  expect(stage.state().apps[0]?.points).toHaveLength(300);
  expect(stage.newestPointMs(actor.guid)).toBe(clock.now() + 999_000);
});

test('what is said about other apps is of no interest', () => {
  const { stage } = setUp();
  stage.evaluated('another', { outcome: 'fired', atMs: 0, adjustment: '+1' });
  stage.measured('another', pointsUntil(0, 1));
  expect(stage.state().apps).toEqual([]);
});
