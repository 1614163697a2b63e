import { beforeEach, expect, test } from '@jest/globals';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { ClaimCompletions } from '../../src/ownership/claim-completions.js';
import type { ClaimCompletion } from '../../src/ownership/trigger-store.js';
import { ManualClock } from '../support/manual-clock.js';

let clock: ManualClock;
let metrics: Metrics;
let attempts: ClaimCompletion[];
let recorded: ClaimCompletion[];
let isAway: boolean;
let completions: ClaimCompletions;

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  attempts = [];
  recorded = [];
  isAway = false;
  completions = new ClaimCompletions({
    clock,
    metrics,
    logger: silentLogger,
    nextClaimId: () => `claim-${attempts.length}`,
    random: () => 0,
    store: {
      async complete(completion) {
        attempts.push(completion);
        if (isAway) throw new Error('away');
        recorded.push(completion);
      },
    },
  });
});

const coolDown = (forMs = 300_000) => ({ coolDownUntilMs: clock.now() + forMs, ignoredUntilMs: null });

test('an answer is recorded at once where the database is there', async () => {
  await completions.complete('app', 'out', coolDown());
  expect(recorded).toMatchObject([{ appId: 'app', direction: 'out', isLate: false }]);
  expect(clock.pendingTimers).toBe(0);
});

test('while the database is away answers wait, ever longer between attempts, and are recorded after its return', async () => {
  isAway = true;
  await completions.complete('one', 'out', coolDown());
  await completions.complete('two', 'in', { coolDownUntilMs: null, ignoredUntilMs: clock.now() + 100_000 });
  attempts = [];
  await clock.advance(60_000);
  expect(attempts.length).toBeGreaterThan(4);
  expect(attempts.length).toBeLessThan(10);
  isAway = false;
  await clock.advance(15_000);
  expect(recorded).toMatchObject([
    { appId: 'one', isLate: true, ignoredForMs: null },
    { appId: 'two', isLate: true, coolDownUntilMs: null },
  ]);
  expect(recorded[1]?.ignoredForMs).toBeLessThanOrEqual(40_000);
  expect(clock.pendingTimers).toBe(0);
  expect(await lost()).toBe(0);
});

test('a newer answer for the app replaces the one that waits', async () => {
  isAway = true;
  await completions.complete('app', 'out', coolDown(300_000));
  isAway = false;
  await completions.complete('app', 'out', coolDown(600_000));
  await clock.advance(30_000);
  expect(recorded).toHaveLength(1);
});

test('what holds nobody back, or not any more, is not worth an attempt', async () => {
  isAway = true;
  await completions.complete('failed', 'out', { coolDownUntilMs: null, ignoredUntilMs: null });
  expect(clock.pendingTimers).toBe(0);
  await completions.complete('short', 'out', coolDown(500));
  isAway = false;
  await clock.advance(30_000);
  expect(recorded).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('stopping tries once more, for a second, and counts what is lost', async () => {
  isAway = true;
  await completions.complete('app', 'out', coolDown());
  isAway = false;
  await completions.stop();
  expect(recorded).toHaveLength(1);
  expect(await lost()).toBe(0);
  isAway = true;
  await completions.complete('late', 'out', coolDown());
  expect(await lost()).toBe(1);
  expect(clock.pendingTimers).toBe(0);
});

test('stopping while the database is away loses what waits, and says so', async () => {
  isAway = true;
  await completions.complete('one', 'out', coolDown());
  await completions.complete('two', 'out', coolDown());
  await completions.stop();
  expect(await lost()).toBe(2);
  expect(clock.pendingTimers).toBe(0);
});

async function lost(): Promise<number> {
  return (await metrics.claimAnswersLost.get()).values[0]?.value ?? 0;
}
