import { expect, test } from '@jest/globals';
import type { DemoResult } from './demo.js';
import { actor, appState, demoState, plainLook, pointsUntil, scaling, startedMs } from './examples.js';
import { isSuccess, summaryJson, summaryLines } from './summary.js';

const nowMs = startedMs + 20_000;
const decay = { ...actor, name: 'decay', guid: 'guid-of-decay' } as const;
const good: DemoResult = {
  ending: { kind: 'goal' },
  seconds: 18.1234,
  stopProblems: [],
  state: demoState({
    scaledOut: 1,
    scaledIn: 1,
    apps: [
      appState({ instances: 3, points: pointsUntil(nowMs, 107) }),
      appState({ actor: decay, instances: 1, points: pointsUntil(nowMs, 10) }),
    ],
    scalings: [
      scaling(),
      scaling({
        actor: decay,
        atMs: startedMs + 18_123,
        from: 2,
        to: 1,
        operator: '<',
        threshold: '20',
        reaction: { ms: 310, since: 'cool-down' },
      }),
    ],
  }),
};

test('tells who was scaled when, why, and how quickly', () => {
  expect(summaryLines(good, false, plainLook)).toEqual([
    '',
    'After 18.1 s apps had been scaled once out and once in.',
    ' 12.3 s  spike scaled out: 2 → 3 instances',
    '         throughput > 80 rps for 5 s, posted 5.02 s after the breach began',
    ' 18.1 s  decay scaled in: 2 → 1 instances',
    '         throughput < 20 rps for 5 s, posted 0.31 s after the cool-down',
    '',
    'All of it was real: the eventgenerator as operators run it, TLS, PostgreSQL.',
    'npm run demo -- --keep goes on until Ctrl-C; README.md says more.',
  ]);
});

test('tells why the others were left as they are', () => {
  const left = (name: typeof actor.name, instances: number, ...values: (number | null)[]) =>
    appState({ actor: { ...actor, name, guid: name }, instances, points: pointsUntil(nowMs, ...values) });
  const apps = [
    left('at-maximum', 10, 90),
    left('idle', 1, 5),
    left('no-data', 2, null),
    left('steady', 2, 50),
    left('spike', 2, 90),
    left('wave', 2),
  ];
  const result = { ...good, state: demoState({ apps }), ending: { kind: 'timeout' as const } };
  expect(summaryLines(result, false, plainLook).slice(1)).toEqual([
    'Gave up after 18.1 s: apps had been scaled 0 times out and 0 times in, at least once each is needed.',
    '',
    'Left as they are:',
    '  at-maximum  throughput 90 rps is above 80, but it is at its maximum of 10',
    '  idle        throughput 5 rps is below 20, but it is at its minimum of 1',
    '  no-data     throughput: no data, which is not zero',
    '  steady      throughput 50 rps is within its limits, 20-80',
    '  spike       throughput 90 rps is outside its limits, 20-80, but not yet for 5 s',
  ]);
});

test('a failure comes with its details', () => {
  const ending = { kind: 'failed', problem: 'it ended with 1', details: ['12:00:00 error boom'] } as const;
  const lines = summaryLines({ ...good, ending, state: demoState() }, false, plainLook);
  expect(lines.slice(1)).toEqual([
    'Failed after 18.1 s: it ended with 1',
    '',
    'Details:',
    '  12:00:00 error boom',
  ]);
});

test('a program gets one object', () => {
  expect(summaryJson(good)).toEqual({
    ok: true,
    scaled_out: 1,
    scaled_in: 1,
    seconds: 18.123,
    apps: [
      {
        name: 'spike',
        guid: 'guid-of-spike',
        instances: 3,
        min_instances: 1,
        max_instances: 10,
        metric_type: 'throughput',
        value: 107,
        unit: 'rps',
        scale_out_above: 80,
        scale_in_below: 20,
        last_decision: 'not evaluated yet',
        scalings: [
          {
            at_seconds: 12.34,
            from: 2,
            to: 3,
            because: 'throughput > 80 rps for 5 s',
            reaction_seconds: 5.02,
            reaction_since: 'breach',
          },
        ],
      },
      expect.objectContaining({ name: 'decay', instances: 1, value: 10 }),
    ],
  });
});

test.each<[string, Partial<DemoResult>, string]>([
  ['a failure', { ending: { kind: 'failed', problem: 'boom', details: [] } }, 'boom'],
  ['an unclean stop', { stopProblems: ['PostgreSQL: stuck'] }, 'PostgreSQL: stuck'],
  ['a timeout', { ending: { kind: 'timeout' }, state: demoState({ scaledOut: 3 }) }, 'timeout'],
  ['an interruption', { ending: { kind: 'interrupted' }, state: demoState() }, 'interrupted'],
])('%s is no success', (_, changes, problem) => {
  const result = { ...good, ...changes };
  expect(isSuccess(result)).toBe(false);
  expect(summaryJson(result)).toMatchObject({ ok: false, problem });
});
