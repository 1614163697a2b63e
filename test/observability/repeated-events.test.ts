import { expect, test } from '@jest/globals';
import { createMetrics } from '../../src/observability/metrics.js';
import { RepeatedEvents } from '../../src/observability/repeated-events.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';

function setUp() {
  const clock = new ManualClock();
  const metrics = createMetrics();
  const { logger, lines } = recordingLogger();
  const events = new RepeatedEvents({ clock, logger, metrics });
  const suppressed = async () => (await metrics.logLinesSuppressed.get()).values[0]?.value;
  return { clock, events, lines, suppressed };
}

test('the same event is logged once a minute, with the number of lines left out', async () => {
  const { clock, events, lines, suppressed } = setUp();
  for (let i = 0; i < 1000; i++) events.error('failed', new Error('down'), { fault: 'timeout' });
  await clock.advance(59_999);
  events.error('failed', new Error('down'), { fault: 'timeout' });
  expect(lines).toHaveLength(1);
  expect(await suppressed()).toBe(1000);
  await clock.advance(1);
  events.error('failed', new Error('down'), { fault: 'timeout' });
  expect(lines).toEqual([
    { level: 'error', event: 'failed', message: 'down', data: { fault: 'timeout' } },
    { level: 'error', event: 'failed', message: 'down', data: { fault: 'timeout', suppressed: 1000 } },
  ]);
});

test('different keys are limited on their own', () => {
  const { events, lines } = setUp();
  events.info('refused', { by: 'a' }, 'refused by a');
  events.info('refused', { by: 'b' }, 'refused by b');
  events.info('refused', { by: 'a' }, 'refused by a');
  expect(lines.map(({ data }) => data)).toEqual([{ by: 'a' }, { by: 'b' }]);
});

test('ever new keys cannot flood the log', async () => {
  const { clock, events, lines, suppressed } = setUp();
  for (let i = 0; i < 1000; i++) events.error(`event ${i}`, new Error('down'));
  expect(lines).toHaveLength(100);
  expect(await suppressed()).toBe(900);
  await clock.advance(60_000);
  events.error('event 500', new Error('down'));
  expect(lines).toHaveLength(101);
});

test('the number of distinct keys can be smaller', () => {
  const { logger, lines } = recordingLogger();
  const events = new RepeatedEvents({
    clock: new ManualClock(),
    logger,
    metrics: createMetrics(),
    maxKeys: 3,
  });
  for (let i = 0; i < 10; i++) events.info('not-covered', {}, `app-${i}`);
  expect(lines).toHaveLength(3);
});
