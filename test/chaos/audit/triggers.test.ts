import { expect, test } from '@jest/globals';
import type { TriggerRecord } from '../../platform/books.js';
import { when } from '../../pipeline/policies.js';
import { Diary } from '../diary.js';
import { PolicyBook } from '../policy-book.js';
import { isGood } from './finding.js';
import { Histories } from './rows.js';
import { auditTriggers } from './triggers.js';

const startMs = 1_700_000_000_000;
const intervalSecs = 10;
const rule = when('cpu > 80', '+1', { breach_duration_secs: 20, cool_down_secs: 60 });

/** Times are seconds from the start. */
function trigger(atSecs: number, more: Partial<TriggerRecord> = {}): TriggerRecord {
  return {
    atMs: startMs + atSecs * 1000,
    receivedMs: startMs + atSecs * 1000,
    result: 'scaled',
    metricType: 'cpu',
    metricUnit: '%',
    operator: '>',
    threshold: '80',
    breachDurationSecs: '20',
    coolDownSecs: '60',
    adjustment: '+1',
    ...more,
  };
}

/** A cpu value every ten seconds, from the start on. */
function historyOf(...values: readonly (number | null)[]): Histories {
  return new Histories(values.map(rowOf));
}

function rowOf(value: number | null, i: number) {
  return {
    appId: 'app',
    metricType: 'cpu',
    timestampNs: BigInt(startMs + i * intervalSecs * 1000) * 1_000_000n,
    value: value === null ? '' : String(value),
  };
}

function badIn(
  histories: Histories,
  triggers: readonly TriggerRecord[],
  {
    diary = new Diary(),
    lastSecs = 200,
    membersChangedSecs = [],
  }: { diary?: Diary; lastSecs?: number; membersChangedSecs?: readonly number[] } = {},
): string[] {
  const book = new PolicyBook();
  book.note('app', startMs - 600_000, [rule]);
  const books = {
    guids: ['app'],
    platform: { books: { triggersOf: () => triggers } },
    policies: { book },
    options: { intervalSecs },
    diary,
    members: [
      {
        lines: membersChangedSecs.map((secs) => ({
          message: 'eventgenerator.ownership.members-changed',
          readAtMs: startMs + secs * 1000,
        })),
      },
    ],
  };
  const span = { fromMs: startMs, toMs: startMs + lastSecs * 1000 };
  return auditTriggers(books, histories, span)
    .filter((finding) => !isGood(finding))
    .map(({ name }) => name);
}

const quiet = Array.from({ length: 20 }, () => 50);
const busyFrom = (index: number) => quiet.map((value, i) => (i < index ? value : 90));

test('a trigger when its rule has been in breach long enough is as it should be', () => {
  expect(badIn(historyOf(...busyFrom(5)), [trigger(70.5), trigger(131)])).toEqual([]);
});

test('a trigger without a breach all through its duration is found, also where a value was missing', () => {
  expect(badIn(historyOf(...quiet), [trigger(70.5)])).toEqual(['triggers without a breach']);
  const early = [...quiet.slice(0, 5), 90, 50, 90, ...quiet.slice(8)];
  expect(badIn(historyOf(...early), [trigger(70.5)])).toEqual(['triggers without a breach']);
  const hole = [...quiet.slice(0, 6), 90, null, ...quiet.slice(8)];
  expect(badIn(historyOf(...hole), [trigger(80.5)])).toEqual(['triggers without a breach']);
});

test('what an old owner found last need not be known to the new one, but what was before and after', () => {
  const lastOfOldOwner = historyOf(...busyFrom(5).map((value, i) => (i === 6 ? 50 : value)));
  expect(badIn(lastOfOldOwner, [trigger(70.5)], { lastSecs: 75, membersChangedSecs: [62] })).toEqual([]);
  for (const elsewhere of [20, 90]) {
    expect(badIn(lastOfOldOwner, [trigger(70.5)], { lastSecs: 75, membersChangedSecs: [elsewhere] })).toEqual(
      ['triggers without a breach'],
    );
  }
});

test('what was not written when the trigger was posted is known to nobody else', () => {
  const values = busyFrom(5).map((value, i) => (i === 6 ? 50 : value));
  const writtenAfter = (secs: number) =>
    new Histories(
      values.map((value, i) => ({
        ...rowOf(value, i),
        writtenMs: startMs + i * intervalSecs * 1000 + (i === 6 ? secs * 1000 : 1_000),
      })),
    );
  expect(badIn(writtenAfter(30), [trigger(70.5)], { lastSecs: 75 })).toEqual([]);
  expect(badIn(writtenAfter(2), [trigger(70.5)], { lastSecs: 75 })).toEqual(['triggers without a breach']);
});

test('a trigger is right also where the last collection failed and the breach had lasted long enough', () => {
  const history = historyOf(...busyFrom(5).slice(0, 7));
  expect(badIn(history, [trigger(70.5)], { lastSecs: 75 })).toEqual([]);
});

test('a trigger of a rule that no policy has is found', () => {
  expect(badIn(historyOf(...busyFrom(5)), [trigger(70.5, { threshold: '70' })])).toContain(
    'triggers without such a rule',
  );
});

test('two triggers in one interval are found, and one that met its own cool-down', () => {
  const history = historyOf(...busyFrom(5));
  expect(badIn(history, [trigger(70.5), trigger(73)])).toEqual(['triggers posted twice']);
  expect(badIn(history, [trigger(70.5), trigger(90, { result: 'cooling-down' })])).toEqual([
    'triggers posted twice',
  ]);
});

test('two triggers count by when they came, and not by when a slow scaling engine decided', () => {
  const heldUp = trigger(70.5, { receivedMs: startMs + 62_000 });
  expect(badIn(historyOf(...busyFrom(4)), [heldUp, trigger(73)])).toEqual([]);
});

test('while claims cannot be made, one trigger more is no fault', () => {
  const diary = new Diary();
  diary.note({
    name: 'database.freeze',
    detail: '',
    fromMs: startMs + 60_000,
    toMs: startMs + 100_000,
    effects: new Set(['unclaimed']),
  });
  expect(badIn(historyOf(...busyFrom(5)), [trigger(70.5), trigger(73)], { diary, lastSecs: 120 })).toEqual(
    [],
  );
});

test('a rule that was in breach in peace and of which nothing came is found', () => {
  expect(badIn(historyOf(...busyFrom(8)), [])).toEqual(['triggers missing']);
});

test('no trigger is missed of an app that the scaling engine alone rejected, while its breaker may be open', () => {
  const history = historyOf(...busyFrom(8));
  const rejecting = { name: 'engine.one-app', detail: '', effects: new Set<never>() };
  const span = { fromMs: startMs + 10_000, toMs: startMs + 20_000 };
  for (const [app, expected] of [
    ['app', []],
    ['other', ['triggers missing']],
  ] as const) {
    const diary = new Diary();
    diary.note({ ...rejecting, ...span, app });
    expect(badIn(history, [], { diary })).toEqual(expected);
  }
});

test('no trigger is missed during faults and just after, in a cool-down, or at the limit', () => {
  const history = historyOf(...busyFrom(8));
  const diary = new Diary();
  diary.note({ name: 'x.y', detail: '', fromMs: startMs, toMs: startMs + 190_000, effects: new Set() });
  expect(badIn(history, [], { diary })).toEqual([]);
  expect(badIn(historyOf(...busyFrom(0)), [trigger(21, { coolDownSecs: '300' })])).toEqual([]);
  expect(badIn(historyOf(...busyFrom(0)), [trigger(21, { result: 'ignored', coolDownSecs: '0' })])).toEqual(
    [],
  );
});
