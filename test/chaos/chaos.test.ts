import { afterAll, expect, test } from '@jest/globals';
import { createReleasers } from '../../src/util/releasers.js';
import { silentLogger } from '../support/silent-logger.js';
import { allFaults } from './faults/all.js';
import { parseOptions, UsageError, type ChaosOptions } from './options.js';
import { planWave } from './play.js';
import { Random } from './random.js';
import { isGreen, jsonLine, text } from './report.js';
import { faultsNamed, runChaos } from './run.js';

const releasers = createReleasers(silentLogger);
afterAll(() => releasers.releaseAll());

function optionsOf(...args: readonly string[]): ChaosOptions {
  const options = parseOptions(args, 42);
  if (options === 'help') throw new Error('these are no options');
  return options;
}

test('a short run with a fault of each sort is green, and says how to repeat it', async () => {
  const options = optionsOf(
    ...['--quick', '--minutes', '0.05', '--members', '1', '--apps', '10', '--interval', '2', '--seed', '7'],
    ...['--faults', 'process.terminate,database.cut,uaa.revocations,log-cache.errors,clients.silent'],
  );
  const report = await runChaos(options, () => {}, releasers, new AbortController().signal);
  expect(report.findings.filter(({ count, atMost }) => count > atMost)).toEqual([]);
  expect(isGreen(report)).toBe(true);
  expect(report.figures['faults']).toBeGreaterThan(0);
  expect(report.figures['rows']).toBeGreaterThan(0);
  expect(text(report)).toContain('--seed 7 --members 1 --apps 10');
  expect(JSON.parse(jsonLine(report))).toMatchObject({ ok: true, options: { seed: 7 } });
});

test('the same seed plans the same faults, another seed others', () => {
  const plan = (seed: number) =>
    Array.from({ length: 20 }, (_, wave) =>
      planWave(allFaults, new Random(seed).fork(wave), { atOnce: 3, quick: false }).map(
        ({ kind, beginMs, endMs, random }) => [kind.name, beginMs, endMs, random.next()],
      ),
    );
  expect(plan(1)).toEqual(plan(1));
  expect(plan(1)).not.toEqual(plan(2));
});

test('a wave has one fault of an area at most, and no more than may overlap', () => {
  for (let wave = 0; wave < 100; wave++) {
    const areas = planWave(allFaults, new Random(3).fork(wave), { atOnce: 3, quick: false }).map(
      ({ kind }) => kind.name.split('.')[0],
    );
    expect(areas.length).toBeLessThanOrEqual(3);
    expect(new Set(areas).size).toBe(areas.length);
  }
});

test('options have defaults, and a command line that makes no sense is refused', () => {
  expect(optionsOf()).toMatchObject({
    minutes: 20,
    seed: 42,
    members: 3,
    apps: 500,
    quick: false,
    json: false,
  });
  expect(parseOptions(['--help'], 42)).toBe('help');
  for (const args of [['--minutes', 'x'], ['--members', '1.5'], ['--apps', '0'], ['--nonsense']]) {
    expect(() => parseOptions(args, 42)).toThrow(UsageError);
  }
  expect(() => faultsNamed(['nothing.such'])).toThrow(UsageError);
  expect(faultsNamed(['uaa.']).map(({ name }) => name)).toContain('uaa.down');
});
