import { expect, test } from '@jest/globals';
import { FailingApps } from '../../src/observability/failing-apps.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

function setUp() {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const failing = new FailingApps({ clock, logger, metrics, event: 'broken' });
  const fail = (appId: string, kind = 'timeout') =>
    failing.failed(kind, appId, new Error(`${kind} of ${appId}`), { kind });
  const suppressed = async () => (await metrics.logLinesSuppressed.get()).values[0]?.value;
  return { clock, failing, fail, lines, suppressed };
}

test('the first failure of a kind is told at once, others a minute later, with their number and five apps', async () => {
  const { clock, failing, fail, lines, suppressed } = setUp();
  fail('first');
  for (let i = 0; i < 70; i++) fail(`app-${i % 7}`);
  await clock.advance(59_999);
  failing.refresh();
  const facts = { appId: 'first', kind: 'timeout', apps: 1, appIds: ['first'] };
  expect(lines).toEqual([{ level: 'error', event: 'broken', message: 'timeout of first', data: facts }]);
  await clock.advance(1);
  failing.refresh();
  expect(lines[1]).toEqual({
    level: 'error',
    event: 'broken',
    message: 'timeout of app-6',
    data: {
      appId: 'app-6',
      kind: 'timeout',
      apps: 7,
      appIds: ['app-0', 'app-1', 'app-2', 'app-3', 'app-4'],
      suppressed: 69,
    },
  });
  expect(await suppressed()).toBe(70);
});

test('nothing is told twice, and a failure after a quiet minute at once', async () => {
  const { clock, failing, fail, lines } = setUp();
  fail('a');
  await clock.advance(60_000);
  failing.refresh();
  expect(lines).toHaveLength(1);
  fail('b');
  expect(lines[1]).toMatchObject({ data: { appId: 'b', apps: 1, appIds: ['b'] } });
});

test('each kind has lines of its own', () => {
  const { fail, lines } = setUp();
  fail('a');
  fail('a', 'connection');
  fail('b', 'connection');
  expect(lines.map(({ data }) => data['kind'])).toEqual(['timeout', 'connection']);
});
