import { expect, test } from '@jest/globals';
import type { HistoryKey } from '../../src/history/history-key.js';
import type { KnownCoolDown } from '../../src/ownership/elastic-claims.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { AppPolicy } from '../../src/policy/policy.js';
import { OwnedApps } from '../../src/pipeline/owned-apps.js';
import { createTakeover } from '../../src/pipeline/takeover.js';
import { createStaticOwnership } from '../../src/ownership/static-ownership.js';
import { outRule, policyOf, settings } from '../evaluation/examples.js';
import { ignored, scaled, setUp } from './evaluator-scene.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

const key: HistoryKey = { metricType: 'cpu', capacity: 10, reachSecs: 240 };
const coolingDown: KnownCoolDown = { coolDownUntilMs: 5, ignoredOutUntilMs: null, ignoredInUntilMs: null };

function harness({ handoverMs = 0, coolDowns = () => Promise.resolve(new Map([['a', coolingDown]])) } = {}) {
  const clock = new ManualClock();
  const { logger, lines } = recordingLogger();
  const owned = new Set(['a', 'b']);
  const wanted: string[][] = [];
  const read = { count: 0 };
  const restored: string[] = [];
  const takeover = createTakeover({
    clock,
    logger,
    metrics: createMetrics(),
    policyOf: (appId): AppPolicy | undefined =>
      owned.has(appId) ? { appId, version: '1', rules: [] } : undefined,
    warmUp: {
      want: (keys) => void wanted.push([...keys.keys()]),
      isReading: () => wanted.length > read.count,
    },
    evaluator: { restore: ({ appId }) => void restored.push(appId) },
    readCoolDowns: coolDowns,
    handoverMs,
  });
  return { clock, lines, owned, wanted, read, restored, takeover };
}

const both = new Map([
  ['a', [key]],
  ['b', [key]],
]);

test('a new owner reads histories and cool-downs at once where nobody has to let go first', async () => {
  const { clock, wanted, restored, takeover } = harness();
  takeover.begin(both, ['a', 'b']);
  expect(wanted).toEqual([['a', 'b']]);
  await clock.advance(0);
  expect(restored).toEqual(['a']);
});

test('histories that an old owner still has to write are read after the handover, if still owned then', async () => {
  const { clock, owned, wanted, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(both, ['a', 'b']);
  expect(wanted).toEqual([]);
  owned.delete('b');
  await clock.advance(5000);
  expect(wanted).toEqual([['a']]);
});

test('a takeover is done when the histories have been read, and not while the old owner still has to write them', async () => {
  const { clock, read, takeover } = harness({ handoverMs: 5000 });
  expect(takeover.isDone()).toBe(true);
  takeover.begin(both, ['a', 'b']);
  expect(takeover.isDone()).toBe(false);
  await clock.advance(5000);
  expect(takeover.isDone()).toBe(false);
  read.count = 1;
  expect(takeover.isDone()).toBe(true);
});

test('nothing taken over, nothing read', () => {
  const { clock, wanted, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(new Map(), []);
  expect(wanted).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('cool-downs that cannot be read are said once and learned from the claims later', async () => {
  const { clock, lines, wanted, takeover } = harness({ coolDowns: () => Promise.reject(new Error('away')) });
  takeover.begin(both, ['a', 'b']);
  await clock.advance(0);
  expect(lines).toMatchObject([{ level: 'error', event: 'takeover.cool-downs-not-read', message: 'away' }]);
  expect(wanted).toHaveLength(1);
});

test('stop leaves no timer', () => {
  const { clock, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(both, ['a', 'b']);
  takeover.stop();
  expect(clock.pendingTimers).toBe(0);
});

test('a new policy ends a back-off, also where the database still has it', async () => {
  const { clock, metrics, engine, evaluator, cycle } = setUp();
  const { logger } = recordingLogger();
  const inForce = { policy: policyOf([outRule], '1') };
  const row = { ignoredOutUntilMs: null as number | null };
  const takeover = createTakeover({
    ...{ clock, logger, metrics, evaluator },
    policyOf: () => inForce.policy,
    warmUp: { want: () => {}, isReading: () => false },
    readCoolDowns: () =>
      Promise.resolve(new Map([['app', { coolDownUntilMs: null, ignoredInUntilMs: null, ...row }]])),
    handoverMs: 0,
  });
  const ownedApps = new OwnedApps({
    ...{ logger, metrics, settings, evaluator, takeover, cacheSizePerApp: 10 },
    ownership: createStaticOwnership({ totalInstances: 1, instanceIndex: 0 }),
    policies: { policyOf: () => inForce.policy, appIds: () => ['app'] },
    schedule: { add: () => {}, remove: () => {} },
    history: { retain: () => {}, forget: () => {} },
    saveSoon: () => {},
  });
  const why = { cause: 'policies', sinceMs: 0, removed: [] } as const;
  ownedApps.use({ ...why, added: ['app'], changed: [] });
  engine.answer = ignored;
  await cycle([outRule], '1');
  expect(await cycle([outRule], '1')).toMatchObject({ reason: 'at-limit-backoff' });

  // As long as the update that ends it is on its way.
  row.ignoredOutUntilMs = clock.now() + 120_000;
  inForce.policy = policyOf([outRule], '2');
  ownedApps.use({ ...why, added: [], changed: ['app'] });
  await clock.advance(40_000);
  engine.answer = scaled;
  expect(await cycle([outRule], '2')).toMatchObject({ outcome: 'fired' });
});
