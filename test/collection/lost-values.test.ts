import { describe, expect, test } from '@jest/globals';
import { MissingValuesWatch } from '../../src/collection/plan/missing-values-watch.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

describe('apps that lose their values', () => {
  function watch() {
    const clock = new ManualClock();
    const { logger, lines } = recordingLogger();
    const metrics = createMetrics();
    let jumps = 0;
    const values = new MissingValuesWatch({
      clock,
      logger,
      metrics,
      intervalMs: 40_000,
      onJump: () => jumps++,
    });
    const value = { kind: 'value', value: 1n, unit: '' } as const;
    /** A cycle of 20 apps, spread over the interval, of which so many have values. */
    const cycle = async (withValues: number) => {
      for (let i = 0; i < 20; i++) {
        values.collected(`app-${i}`, [i < withValues ? value : { kind: 'no-data' }]);
        await clock.advance(2_000);
      }
    };
    return { clock, values, lines, metrics, cycle, jumps: () => jumps };
  }

  test('many at once are one line with their number, and a metric', async () => {
    const { lines, metrics, cycle, jumps } = watch();
    await cycle(20);
    await cycle(10);
    expect(jumps()).toBe(1);
    await cycle(10);
    await cycle(10);
    expect(lines).toMatchObject([
      { level: 'error', event: 'apps-lost-their-values', data: { apps: 20, withoutValues: 10 } },
    ]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 10 }]);
    await cycle(20);
    expect(lines.at(-1)).toMatchObject({ level: 'info', event: 'values-are-back' });
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('count from the first cycle on if their histories have values', async () => {
    const { values, lines, metrics, cycle, jumps } = watch();
    for (let i = 8; i < 14; i++) values.seed(`app-${i}`, [{ value: null }, { value: 5n }, { value: null }]);
    for (let i = 14; i < 20; i++) values.seed(`app-${i}`, [{ value: null }]);
    await cycle(10);
    expect(jumps()).toBe(1);
    await cycle(10);
    await cycle(10);
    expect(lines).toMatchObject([
      { level: 'error', event: 'apps-lost-their-values', data: { apps: 14, withoutValues: 4 } },
    ]);
    // What is known of an app is newer than what its history says.
    values.seed('app-13', [{ value: 5n }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 4 }]);
    await cycle(20);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('at once are told apart from those that lost them before: it ends, and is noticed again', async () => {
    const { lines, metrics, cycle, jumps } = watch();
    const isMissing = async () => (await metrics.valuesMissing.get()).values[0]?.value;
    // A developer stops three apps.
    for (const withValues of [20, 19, 19, 18, 18, 17, 17]) await cycle(withValues);
    for (const times of [1, 2]) {
      await cycle(7);
      await cycle(7);
      expect([jumps(), await isMissing(), lines.at(-1)?.event]).toEqual([times, 1, 'apps-lost-their-values']);
      // One more is stopped meanwhile.
      await cycle(16);
      await cycle(16);
      expect([jumps(), await isMissing(), lines.at(-1)?.event]).toEqual([times, 0, 'values-are-back']);
      await cycle(17);
      await cycle(17);
    }
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 3 }]);
  });

  test('at once again while others are still missing count as well, and it ends with the last', async () => {
    const { lines, cycle, jumps } = watch();
    for (const withValues of [20, 15, 15, 15, 8, 8, 8]) await cycle(withValues);
    expect(jumps()).toBe(2);
    await cycle(15);
    expect(lines.map(({ event }) => event)).toEqual(['apps-lost-their-values']);
    await cycle(20);
    expect(lines.map(({ event }) => event)).toEqual(['apps-lost-their-values', 'values-are-back']);
  });

  test('are forgotten without cycles of others, where this instance has no apps any more', async () => {
    const { clock, values, metrics, cycle } = watch();
    for (const withValues of [20, 10, 10]) await cycle(withValues);
    expect((await metrics.valuesMissing.get()).values).toMatchObject([{ value: 1 }]);
    await clock.advance(3_600_000);
    values.refresh();
    expect((await metrics.valuesMissing.get()).values).toMatchObject([{ value: 0 }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
  });

  test('one by one they are none of our business', async () => {
    const { lines, cycle, jumps } = watch();
    for (let apps = 20; apps > 15; apps--) {
      await cycle(apps);
      await cycle(apps);
    }
    expect([lines, jumps()]).toEqual([[], 0]);
  });

  test('failures say nothing about values, and apps that are gone are forgotten', async () => {
    const { clock, values, lines, metrics, cycle } = watch();
    await cycle(20);
    const failed = { kind: 'failed', failure: 'timeout', message: '' } as const;
    for (let i = 0; i < 20; i++) values.collected(`app-${i}`, [failed]);
    await cycle(19);
    await clock.advance(3_600_000);
    values.collected('app-0', [{ kind: 'value', value: 1n, unit: '' }]);
    expect((await metrics.appsWithoutValues.get()).values).toMatchObject([{ value: 0 }]);
    expect(lines).toEqual([]);
  });
});
