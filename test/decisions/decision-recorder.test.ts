import type { OpenBreaker } from '../../src/evaluation/open-breaker.js';
import { beforeEach, describe, expect, test } from '@jest/globals';
import type { MetricOutcome } from '../../src/collection/pool/job.js';
import { DecisionRecorder } from '../../src/decisions/decision-recorder.js';
import type { DecisionChange } from '../../src/decisions/decision-store.js';
import type { Decision, HeldReason } from '../../src/evaluation/decision.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { ManualClock } from '../support/manual-clock.js';
import { inRule, outRule, policyOf, seriesOf, steady, triggerFor } from '../evaluation/examples.js';

const app = policyOf([inRule, outRule]);
const trigger = triggerFor('app');
const fired: Decision = { outcome: 'fired', rule: outRule, trigger, value: 90n };
const held = (reason: HeldReason, untilMs?: number): Decision => ({
  outcome: 'held',
  reason,
  rule: outRule,
  ...(untilMs === undefined ? {} : { untilMs }),
});
const quiet: Decision = {
  outcome: 'not-fired',
  verdicts: [
    { rule: inRule, reason: 'not-breached' },
    { rule: outRule, reason: 'not-breached' },
  ],
};
const rejected: TriggerResult = { kind: 'failed', fault: 'rejected', message: 'answered 422\0\ud800' };
const failing: MetricOutcome = { kind: 'failed', failure: 'timeout', message: 'no answer' };
const fine: MetricOutcome = { kind: 'value', value: 1n, unit: '%' };

let clock: ManualClock;
let recorder: DecisionRecorder;
let changes: DecisionChange[];
let versions: string[];
let breakers: OpenBreaker[];
beforeEach(() => {
  clock = new ManualClock();
  changes = [];
  versions = [];
  breakers = [];
  recorder = new DecisionRecorder({
    clock,
    history: { series: () => seriesOf(steady(90n)) },
    breakersOf: (appId) => (appId === 'app' ? breakers : []),
    member: { leaseId: () => 'lease', instanceIndex: 4 },
    changed: (change) => changes.push(change),
    newVersion: ({ version }) => versions.push(version),
  });
});

const code = () => recorder.knowledgeOf('app')?.code;
/** What is due, in all turns. */
const taken = () => Array.from({ length: 8 }, () => recorder.takeRows(10)).flat();

describe('the code', () => {
  test('is what an evaluation decided, and since when', async () => {
    expect(recorder.knowledgeOf('app')).toBeNull();
    recorder.decided(app, quiet);
    const sinceMs = clock.now();
    await clock.advance(5_000);
    recorder.decided(app, quiet);
    expect(recorder.knowledgeOf('app')).toMatchObject({
      code: 'not-breached',
      sinceMs,
      ownedSinceMs: sinceMs,
      updatedAtMs: sinceMs + 5_000,
      leaseId: 'lease',
      instanceIndex: 4,
    });
  });

  test.each<[string, TriggerResult]>([
    ['at-max', { kind: 'ignored' }],
    ['fired', { kind: 'scaled', adjustment: 1, coolDownUntilMs: null }],
    ['cooling-down', { kind: 'cooling-down', coolDownUntilMs: 99 }],
    ['trigger-failed', rejected],
  ])('after a post is %s, also while the app is held for that post', (expected, result) => {
    recorder.decided(app, fired);
    expect(code()).toBe('unknown');
    recorder.posted(trigger, result);
    expect(code()).toBe(expected);
    if (expected !== 'cooling-down') recorder.decided(app, held('posted-recently', 5));
    expect(code()).toBe(expected);
    expect(recorder.knowledgeOf('app')?.lastTrigger).toEqual({
      atMs: clock.now(),
      rule: 2,
      adjustment: '+1',
      direction: 'out',
      result: result.kind === 'failed' ? 'rejected' : result.kind,
      message: result.kind === 'failed' ? 'answered 422\ufffd' : null,
    });
  });

  test('while a trigger is in flight stays, so that the change is the result of the trigger', () => {
    recorder.decided(app, quiet);
    recorder.decided(app, fired);
    recorder.decided(app, held('posted-recently'));
    expect(code()).toBe('not-breached');
    recorder.posted(trigger, { kind: 'ignored' });
    expect(changes).toMatchObject([{ from: 'not-breached', to: 'at-max' }]);
  });

  test('of a direction that is ignored is the limit, and each next fruitless try changes nothing', async () => {
    recorder.decided(app, held('at-limit-backoff', 50));
    const sinceMs = clock.now();
    await clock.advance(60_000);
    recorder.decided(app, fired);
    recorder.posted(trigger, { kind: 'ignored' });
    recorder.decided(app, held('at-limit-backoff', 70));
    expect(recorder.knowledgeOf('app')).toMatchObject({ code: 'at-max', sinceMs, untilMs: 70 });
    recorder.decided(app, held('breaker-open', 80));
    expect(recorder.knowledgeOf('app')).toMatchObject({ code: 'breaker-open', untilMs: 80 });
  });

  test('is not-collected from the second failure in a row on, until the metric type is collected', () => {
    recorder.decided(app, quiet);
    const sinceMs = clock.now();
    recorder.collected(
      'app',
      new Map<string, MetricOutcome>([
        ['cpu', failing],
        ['jobs', fine],
      ]),
    );
    recorder.decided(app, quiet);
    expect(code()).toBe('not-breached');
    recorder.collected('app', new Map([['cpu', failing]]));
    recorder.decided(app, quiet);
    expect(recorder.knowledgeOf('app')).toMatchObject({
      code: 'not-collected',
      failures: [{ metricType: 'cpu', failure: 'timeout', message: 'no answer', sinceMs }],
    });
    recorder.collected('app', new Map([['cpu', fine]]));
    recorder.decided(app, quiet);
    expect(recorder.knowledgeOf('app')).toMatchObject({ code: 'not-breached', failures: [] });
  });
});

test('nothing that is told has a secret, though a response may quote the request', () => {
  const echo = 'not found (authorization: bearer T0ken-of-ours)';
  recorder.decided(app, quiet);
  recorder.decided(app, fired);
  recorder.posted(trigger, { kind: 'failed', fault: 'rejected', message: echo });
  for (let i = 0; i < 2; i++) {
    recorder.collected('app', new Map([['cpu', { kind: 'failed', failure: 'client-error', message: echo }]]));
  }
  const { lastTrigger, failures } = recorder.knowledgeOf('app') ?? {};
  for (const text of [lastTrigger?.message, failures?.[0]?.message, changes[0]?.text]) {
    expect(text).toContain('not found');
    expect(text).not.toContain('T0ken');
  }
});

test('breakers are known, and rows have them', () => {
  recorder.decided(app, quiet);
  recorder.decided(policyOf([outRule], '1', 'other'), quiet);
  breakers = [{ scope: 'app', sinceMs: 1, untilMs: 2 }];
  expect(recorder.knowledgeOf('app')).toMatchObject({ breakers });
  expect(recorder.knowledgeOf('other')).toMatchObject({ breakers: [] });
  expect(taken()).toMatchObject([
    { appId: 'app', breakers },
    { appId: 'other', breakers: [] },
  ]);
});

test('each version of a policy is told once', () => {
  for (const version of ['1', '1', '2', '2']) recorder.decided(policyOf([outRule], version), quiet);
  expect(versions).toEqual(['1', '2']);
});

describe('another version of the policy', () => {
  const next = policyOf([inRule], '2');

  test('has not the rules of the last trigger, nor of one under way', () => {
    recorder.decided(app, fired);
    recorder.posted(trigger, rejected);
    recorder.decided(app, fired);
    expect(recorder.knowledgeOf('app')?.lastTrigger?.rule).toBe(2);
    recorder.decided(next, quiet);
    expect(recorder.knowledgeOf('app')?.lastTrigger).toMatchObject({ rule: null, result: 'rejected' });
    recorder.posted(trigger, { kind: 'ignored' });
    expect(recorder.knowledgeOf('app')?.lastTrigger).toMatchObject({ rule: null, result: 'ignored' });
  });

  test('ends failures of metric types that it does not need', () => {
    const fail = () =>
      recorder.collected(
        'app',
        new Map<string, MetricOutcome>([
          ['cpu', failing],
          ['jobs', failing],
        ]),
      );
    recorder.decided(app, quiet);
    for (let i = 0; i < 2; i++) fail();
    recorder.decided(next, quiet);
    expect(recorder.knowledgeOf('app')).toMatchObject({
      code: 'not-collected',
      failures: [{ metricType: 'cpu' }],
    });
    recorder.decided(policyOf([{ ...inRule, metricType: 'disk' }], '3'), quiet);
    expect(recorder.knowledgeOf('app')).toMatchObject({ code: 'not-breached', failures: [] });
  });
});

describe('rows', () => {
  test('are written when something changed, at most every 30 s an app, and renewed every hour', async () => {
    recorder.decided(app, quiet);
    expect(taken()).toMatchObject([{ appId: 'app', code: 'not-breached' }]);
    recorder.decided(app, quiet);
    expect(taken()).toEqual([]);
    recorder.decided(app, held('cooling-down', 5));
    expect(taken()).toEqual([]);
    await clock.advance(30_000);
    expect(taken()).toMatchObject([{ code: 'cooling-down' }]);
    recorder.decided(app, held('cooling-down', 6));
    expect(taken()).toEqual([]);
    expect(recorder.takeRows(10, true)).toMatchObject([{ untilMs: 6 }]);
    recorder.decided(app, held('cooling-down', 5));
    await clock.advance(30_000);
    expect(taken()).toMatchObject([{ untilMs: 5 }]);
    await clock.advance(3_599_999);
    recorder.decided(app, held('cooling-down', 5));
    expect(taken()).toEqual([]);
    await clock.advance(1);
    recorder.decided(app, held('cooling-down', 5));
    expect(taken()).toHaveLength(1);
  });

  test('of apps that change together are written in turns, but the first of an app at once', async () => {
    const apps = Array.from({ length: 80 }, (_, i) => policyOf([outRule], '1', `app-${i}`));
    for (const each of apps) recorder.decided(each, quiet);
    expect(recorder.takeRows(100)).toHaveLength(80);
    await clock.advance(30_000);
    for (const each of apps) recorder.decided(each, held('cooling-down', 5));
    const sizes = Array.from({ length: 8 }, () => recorder.takeRows(100).length);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(80);
    expect(Math.max(...sizes)).toBeLessThan(30);
  });

  test('do without what log-cache said while it fails for very many apps', () => {
    const messages = () => recorder.takeRows(2_000).map(({ failures }) => failures[0]?.message);
    const fail = (appId: string) => {
      recorder.decided(policyOf([outRule], '1', appId), quiet);
      for (let i = 0; i < 2; i++) recorder.collected(appId, new Map([['cpu', failing]]));
    };
    for (let i = 0; i < 1_000; i++) fail(`app-${i}`);
    expect(new Set(messages())).toEqual(new Set(['no answer']));
    fail('one-more');
    expect(messages()).toEqual(['']);
    for (const gone of ['one-more', 'app-0']) recorder.forget(gone);
    fail('another');
    expect(messages()).toEqual(['no answer']);
    recorder.collected('another', new Map([['cpu', fine]]));
    fail('last');
    expect(messages()).toEqual(['no answer']);
  });

  test('that could not be written are tried again, but not those of apps that are gone', () => {
    for (const appId of ['a', 'b', 'c']) recorder.decided(policyOf([outRule], '1', appId), quiet);
    const rows = recorder.takeRows(2);
    expect(rows.map(({ appId }) => appId)).toEqual(['a', 'b']);
    recorder.forget('a');
    recorder.giveBack(rows);
    expect(recorder.takeRows(9).map(({ appId }) => appId)).toEqual(['c', 'b']);
    recorder.posted({ ...trigger, app_id: 'a' }, rejected);
    recorder.collected('a', new Map([['cpu', failing]]));
    expect([recorder.knowledgeOf('a'), recorder.takeRows(9)]).toEqual([null, []]);
  });

  test('are listed by code, page by page', () => {
    for (const appId of ['c', 'a', 'b']) recorder.decided(policyOf([outRule], '1', appId), quiet);
    const page = recorder.list({ code: 'not-breached', after: 'a', limit: 1 });
    expect(page.map(({ appId }) => appId)).toEqual(['b']);
    expect(recorder.list({ code: 'fired', after: '', limit: 9 })).toEqual([]);
    expect([...recorder.count()]).toEqual([['not-breached', 3]]);
  });
});

describe('changes', () => {
  test('say from what to what, with value and rule; the first decision is none', async () => {
    recorder.decided(app, quiet);
    recorder.decided(app, fired);
    await clock.advance(1_000);
    recorder.posted(trigger, rejected);
    expect(changes).toEqual([
      {
        appId: 'app',
        atMs: clock.now(),
        from: 'not-breached',
        to: 'trigger-failed',
        rule: 2,
        value: '90',
        text: 'cpu 90 %; answered 422\ufffd',
      },
    ]);
  });

  test('are at most one a minute and app; what is still so then is told then', async () => {
    recorder.decided(app, quiet);
    recorder.decided(app, held('cooling-down', 5));
    recorder.decided(app, held('breaker-open', 5));
    await clock.advance(59_999);
    recorder.decided(app, held('breaker-open', 5));
    expect(changes.map(({ to }) => to)).toEqual(['cooling-down']);
    await clock.advance(1);
    recorder.decided(app, held('breaker-open', 5));
    recorder.decided(app, held('breaker-open', 5));
    expect(changes.map(({ from, to }) => [from, to])).toEqual([
      ['not-breached', 'cooling-down'],
      ['cooling-down', 'breaker-open'],
    ]);
  });
});
