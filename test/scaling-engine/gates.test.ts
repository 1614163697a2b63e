import { describe, expect, test } from '@jest/globals';
import { Gates } from '../../src/scaling-engine/gates.js';
import { ManualClock } from '../support/manual-clock.js';
import { inRule, outRule } from '../evaluation/examples.js';

const minute = 60_000;

function setUp(evaluationIntervalMs = 40_000) {
  const clock = new ManualClock();
  return { clock, gates: new Gates({ clock, evaluationIntervalMs }) };
}

describe('a cool-down', () => {
  test('lasts until the wall-clock time that the scaling engine named', async () => {
    const { clock, gates } = setUp();
    const untilMs = clock.now() + 5 * minute;
    gates.coolDown('app', untilMs);
    expect(gates.coolDownUntilMs('app')).toBe(untilMs);
    expect(gates.coolDownUntilMs('other')).toBeNull();
    await clock.advance(5 * minute - 1);
    expect(gates.coolDownUntilMs('app')).toBe(untilMs);
    await clock.advance(1);
    expect(gates.coolDownUntilMs('app')).toBeNull();
  });

  test('that is over already holds nothing back', () => {
    const { clock, gates } = setUp();
    gates.coolDown('app', clock.now() - minute);
    expect(gates.coolDownUntilMs('app')).toBeNull();
  });

  test.each([-24 * 60 * minute, 24 * 60 * minute])(
    'is neither ended nor made longer by a wall clock set by %d ms',
    async (jumpMs) => {
      const { clock, gates } = setUp();
      gates.coolDown('app', clock.now() + 5 * minute);
      clock.jumpWallClock(jumpMs);
      await clock.advance(5 * minute - 1);
      expect(gates.coolDownUntilMs('app')).not.toBeNull();
      await clock.advance(1);
      expect(gates.coolDownUntilMs('app')).toBeNull();
    },
  );

  test('is believed for an hour and a minute at most, however wrong the clocks are', async () => {
    const { clock, gates } = setUp();
    gates.coolDown('app', clock.now() + 365 * 24 * 60 * minute);
    await clock.advance(61 * minute - 1);
    expect(gates.coolDownUntilMs('app')).not.toBeNull();
    await clock.advance(1);
    expect(gates.coolDownUntilMs('app')).toBeNull();
  });

  test('that a trigger started lasts no longer than the trigger asked for', async () => {
    const { clock, gates } = setUp();
    gates.coolDown('app', clock.now() + 10 * minute, 300);
    await clock.advance(5 * minute);
    expect(gates.coolDownUntilMs('app')).toBeNull();
  });
});

describe('after a post', () => {
  test('the next one may follow an evaluation interval later', async () => {
    const { clock, gates } = setUp();
    gates.posted('app');
    expect(gates.nextPostMs('app')).toBe(clock.now() + 40_000);
    await clock.advance(39_999);
    expect(gates.nextPostMs('app')).not.toBeNull();
    await clock.advance(1);
    expect(gates.nextPostMs('app')).toBeNull();
  });

  test("another member's post counts too, for an interval at most, and never ends the own one", async () => {
    const { clock, gates } = setUp();
    gates.postedElsewhere('app', clock.now() + 60 * minute);
    expect(gates.nextPostMs('app')).toBe(clock.now() + 40_000);
    gates.postedElsewhere('app', clock.now() + 1000);
    expect(gates.nextPostMs('app')).toBe(clock.now() + 40_000);
  });
});

describe('the back-off after "ignored"', () => {
  test.each([
    ['out', outRule, [40, 80, 120, 120, 120]],
    ['in', inRule, [40, 80, 160, 320, 600, 600]],
  ] as const)('for scaling %s grows up to its bound', async (direction, rule, lengthsSecs) => {
    const { clock, gates } = setUp();
    for (const secs of lengthsSecs) {
      expect(gates.ignored('app', rule)).toBe(clock.now() + secs * 1000);
      expect(gates.backOffUntilMs('app', direction)).toBe(clock.now() + secs * 1000);
      await clock.advance(secs * 1000);
      expect(gates.backOffUntilMs('app', direction)).toBeNull();
    }
  });

  test('holds only its direction and its app', () => {
    const { gates } = setUp();
    gates.ignored('app', inRule);
    expect(gates.backOffUntilMs('app', 'out')).toBeNull();
    expect(gates.backOffUntilMs('other', 'in')).toBeNull();
    expect(gates.ignoredRules('app')).toEqual([inRule]);
    expect(gates.ignoredRules('other')).toEqual([]);
  });

  test('starts again from the beginning once forgotten', async () => {
    const { clock, gates } = setUp();
    gates.ignored('app', outRule);
    gates.ignored('app', outRule);
    expect(gates.forgetIgnored('app', 'out')).toBe(true);
    expect(gates.forgetIgnored('app', 'out')).toBe(false);
    gates.ignored('app', outRule);
    await clock.advance(40_000);
    expect(gates.backOffUntilMs('app', 'out')).toBeNull();
    expect(gates.forgetIgnored('app', 'out')).toBe(false);
  });

  test('that another member ran into is kept as long as that one says, within its bound', () => {
    const { clock, gates } = setUp();
    gates.ignoredElsewhere('app', inRule, clock.now() + 5 * minute);
    expect(gates.backOffUntilMs('app', 'in')).toBe(clock.now() + 5 * minute);
    gates.ignoredElsewhere('app', outRule, clock.now() + 5 * minute);
    expect(gates.backOffUntilMs('app', 'out')).toBe(clock.now() + 2 * minute);
    expect(gates.ignored('app', inRule)).toBe(clock.now() + 80_000);
  });
});

describe('nothing is kept for ever', () => {
  test('what has ended expires, what runs is counted', async () => {
    const { clock, gates } = setUp();
    gates.coolDown('cooling', clock.now() + 5 * minute);
    gates.posted('posted');
    gates.ignored('ignored', outRule);
    gates.ignored('ignored', inRule);
    expect(gates.expire()).toEqual({ coolDowns: 1, backOffs: 2 });
    await clock.advance(minute);
    expect(gates.expire()).toEqual({ coolDowns: 1, backOffs: 0 });
    expect(gates.size).toBe(2);
    await clock.advance(10 * minute);
    expect(gates.expire()).toEqual({ coolDowns: 0, backOffs: 0 });
    expect(gates.size).toBe(0);
  });

  test('a forgotten app leaves nothing', () => {
    const { clock, gates } = setUp();
    for (let i = 0; i < 1000; i++) {
      gates.coolDown(`app ${i}`, clock.now() + minute);
      gates.posted(`app ${i}`);
      gates.ignored(`app ${i}`, outRule);
      gates.forget(`app ${i}`);
    }
    expect(gates.size).toBe(0);
  });
});
