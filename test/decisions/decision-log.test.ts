import { beforeEach, expect, test } from '@jest/globals';
import { createDecisionLog } from '../../src/decisions/decision-log.js';
import type { ReasonCode } from '../../src/explanation/reason.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';

let clock: ManualClock;
let recording: Recording;
let change: (appId: string, from: ReasonCode | null, to: ReasonCode) => void;
let suppressed: () => Promise<number | undefined>;
beforeEach(() => {
  clock = new ManualClock();
  recording = recordingLogger();
  const metrics = createMetrics();
  suppressed = async () => (await metrics.logLinesSuppressed.get()).values[0]?.value;
  const log = createDecisionLog({ clock, metrics, logger: recording.logger });
  change = (appId, from, to) =>
    log({ appId, atMs: clock.now(), from, to, rule: 2, value: '90', text: 'cpu 90 %' });
});

const told = () => recording.lines.map(({ data }) => [data['appId'], data['from'], data['to']]);

test.each(['at-max', 'at-min', 'not-collected', 'breaker-open', 'lease-lost'] as const)(
  'changes to %s and from it are told',
  (code) => {
    change('a', 'not-breached', code);
    change('b', code, 'not-breached');
    const facts = { since: new Date(clock.now()).toISOString(), rule: 2, value: '90', text: 'cpu 90 %' };
    expect(recording.lines).toEqual([
      {
        level: 'info',
        event: 'decisions.decision-changed',
        data: { appId: 'a', from: 'not-breached', to: code, ...facts },
      },
      {
        level: 'info',
        event: 'decisions.decision-changed',
        data: { appId: 'b', from: code, to: 'not-breached', ...facts },
      },
    ]);
  },
);

test('others are not', async () => {
  change('a', 'not-breached', 'no-data');
  change('a', 'fired', 'cooling-down');
  expect([told(), await suppressed()]).toEqual([[], 0]);
});

test('an app has a line in ten minutes at most', async () => {
  change('a', 'not-breached', 'at-max');
  await clock.advance(599_999);
  change('a', 'at-max', 'cooling-down');
  change('b', 'at-max', 'cooling-down');
  await clock.advance(1);
  change('a', 'not-breached', 'at-min');
  expect(told()).toEqual([
    ['a', 'not-breached', 'at-max'],
    ['b', 'at-max', 'cooling-down'],
    ['a', 'not-breached', 'at-min'],
  ]);
});

test('a minute has 60 lines at most; the next line says how many were left out', async () => {
  for (let i = 0; i < 1_000; i++) change(`app-${i}`, 'not-breached', 'not-collected');
  expect(recording.lines).toHaveLength(60);
  expect(await suppressed()).toBe(940);
  await clock.advance(59_999);
  change('late', 'not-breached', 'not-collected');
  expect(recording.lines).toHaveLength(60);
  await clock.advance(1);
  change('late', 'not-breached', 'not-collected');
  change('later', 'not-breached', 'not-collected');
  expect(recording.lines.slice(60).map(({ data }) => data['suppressed'])).toEqual([941, undefined]);
});
