import { expect, test } from '@jest/globals';
import type { HistoryKey } from '../../src/history/history-key.js';
import type { KnownCoolDown } from '../../src/ownership/elastic-claims.js';
import { createMetrics } from '../../src/observability/metrics.js';
import type { AppPolicy } from '../../src/policy/policy.js';
import { createTakeover } from '../../src/pipeline/takeover.js';
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
  takeover.begin(both);
  expect(wanted).toEqual([['a', 'b']]);
  await clock.advance(0);
  expect(restored).toEqual(['a']);
});

test('histories that an old owner still has to write are read after the handover, if still owned then', async () => {
  const { clock, owned, wanted, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(both);
  expect(wanted).toEqual([]);
  owned.delete('b');
  await clock.advance(5000);
  expect(wanted).toEqual([['a']]);
});

test('a takeover is done when the histories have been read, and not while the old owner still has to write them', async () => {
  const { clock, read, takeover } = harness({ handoverMs: 5000 });
  expect(takeover.isDone()).toBe(true);
  takeover.begin(both);
  expect(takeover.isDone()).toBe(false);
  await clock.advance(5000);
  expect(takeover.isDone()).toBe(false);
  read.count = 1;
  expect(takeover.isDone()).toBe(true);
});

test('nothing taken over, nothing read', () => {
  const { clock, wanted, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(new Map());
  expect(wanted).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('cool-downs that cannot be read are said once and learned from the claims later', async () => {
  const { clock, lines, wanted, takeover } = harness({ coolDowns: () => Promise.reject(new Error('away')) });
  takeover.begin(both);
  await clock.advance(0);
  expect(lines).toMatchObject([{ level: 'error', event: 'takeover.cool-downs-not-read', message: 'away' }]);
  expect(wanted).toHaveLength(1);
});

test('stop leaves no timer', () => {
  const { clock, takeover } = harness({ handoverMs: 5000 });
  takeover.begin(both);
  takeover.stop();
  expect(clock.pendingTimers).toBe(0);
});
