import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide, type Histories } from '../../src/evaluation/decide.js';
import type { OpenBreaker } from '../../src/evaluation/open-breaker.js';
import { evaluationTimeNs, explain } from '../../src/explanation/explain.js';
import { explanationJson } from '../../src/explanation/explanation-json.js';
import { gateOf, type Facts, type LastTrigger, type OwnersKnowledge } from '../../src/explanation/facts.js';
import { pointSeries, type Point } from '../../src/explanation/point-series.js';
import { reasonCodes, type ReasonCode } from '../../src/explanation/reason.js';
import { furtherSentences, sentenceOf } from '../../src/explanation/sentence.js';
import { inRule, outRule, policyOf, settings, steady, type Ages } from '../evaluation/examples.js';
import { atMs, factsOf, knowledgeOf } from './examples.js';

const failing: LastTrigger = {
  atMs: atMs - 10_000,
  rule: 1,
  adjustment: '+1',
  direction: 'out',
  result: 'rejected',
  message: 'answered 422 (no such app)',
};

describe('the eight causes', () => {
  test('a broken policy, and why', () => {
    const explanation = explain(
      factsOf([], {}, { policy: { kind: 'broken', version: '1', problem: 'it is NULL' } }),
      settings,
    );
    expect(explanation).toMatchObject({ verdict: 'not-evaluated', reasons: [{ code: 'policy-broken' }] });
    expect(sentenceOf(explanation)).toBe('The policy cannot be used: it is NULL.');
  });

  test('too few app metrics, since when, and when there will be enough', () => {
    const explanation = explain(factsOf([outRule], { cpu: { 0: 81n, 150: 0n } }), settings);
    expect(explanation.reasons).toEqual([
      {
        code: 'not-enough-samples',
        rule: 1,
        metricType: 'cpu',
        sinceMs: atMs,
        untilMs: atMs + 20_000,
      },
    ]);
    expect(sentenceOf(explanation)).toBe(
      'Rule 1 (cpu > 80 % for 100 s) cannot fire yet: 1 of 3 app metrics, collected since 22:13:20; enough at 22:13:40.',
    );
  });

  test('app metrics that are enough, but do not reach back far enough yet', () => {
    const explanation = explain(factsOf([outRule], { cpu: { 0: 81n, 20: 81n, 40: 81n } }), settings);
    expect(explanation.reasons).toMatchObject([{ code: 'not-enough-samples', untilMs: atMs + 60_000 }]);
    expect(sentenceOf(explanation)).toBe(
      'Rule 1 (cpu > 80 % for 100 s) cannot fire yet: 3 app metrics do not cover its breach duration, collected since 22:12:40; enough at 22:14:20.',
    );
  });

  test('one value on the right side of the threshold', () => {
    const explanation = explain(factsOf([outRule], { cpu: { ...steady(81n), 40: 80n } }), settings);
    expect(explanation.reasons).toEqual([
      { code: 'not-breached', rule: 1, metricType: 'cpu', sinceMs: atMs - 40_000 },
    ]);
    expect(sentenceOf(explanation)).toBe(
      'No rule fires: cpu of 80 % at 22:12:40 speaks against rule 1 (cpu > 80 % for 100 s).',
    );
  });

  test('a cool-down, until when, and the rule that started it; rules are judged all the same', () => {
    const explanation = explain(
      factsOf(
        [outRule],
        { cpu: steady(81n) },
        {
          pauses: { coolDownUntilMs: atMs + 30_000, ignoredOutUntilMs: null, ignoredInUntilMs: null },
          knowledge: knowledgeOf({ lastTrigger: { ...failing, result: 'scaled', message: null } }),
        },
      ),
      settings,
    );
    expect(explanation.verdict).toBe('held');
    expect(explanation.reasons).toEqual([
      { code: 'cooling-down', rule: 1, sinceMs: atMs - 10_000, untilMs: atMs + 30_000 },
    ]);
    expect(explanation.rules.map(({ verdict }) => verdict)).toEqual(['fires']);
    expect(sentenceOf(explanation)).toBe(
      'The app cools down until 22:13:50, started by rule 1 (cpu > 80 % for 100 s) at 22:13:10.',
    );
  });

  test.each([
    ['maximum', 'at-max', outRule, 90n, 2],
    ['minimum', 'at-min', inRule, 10n, 1],
  ] as const)('its %s, and the next try', (limit, code, rule, value, instances) => {
    const explanation = explain(
      factsOf(
        [rule],
        { cpu: steady(value) },
        {
          pauses: { coolDownUntilMs: null, ignoredOutUntilMs: atMs + 5_000, ignoredInUntilMs: atMs + 5_000 },
        },
      ),
      settings,
    );
    expect(explanation).toMatchObject({
      verdict: 'held',
      reasons: [
        { code, rule: 1, untilMs: atMs + 5_000, limit: instances },
        { code: 'at-limit-backoff', untilMs: atMs + 5_000 },
      ],
    });
    expect(sentenceOf(explanation)).toContain(`the app is at its ${limit} of ${instances} instance`);
    expect(sentenceOf(explanation)).toContain('next try at 22:13:25');
  });

  test('an app that the scaling engine has just ignored is at its limit, not fired', () => {
    const ignored = { ...failing, atMs: atMs - 50_000, result: 'ignored', message: null };
    const { reasons } = explain(
      factsOf([outRule], { cpu: steady(81n) }, { knowledge: knowledgeOf({ lastTrigger: ignored }) }),
      settings,
    );
    expect(reasons.map(({ code }) => code)).toEqual(['at-max', 'fired']);
  });

  test('log-cache fails for one metric type, how, and since when, while another is fine', () => {
    const rules = [outRule, { ...outRule, metricType: 'throughput' }];
    const failures = [
      { metricType: 'cpu', failure: 'timeout', message: 'no answer', sinceMs: atMs - 90_000 },
    ];
    const explanation = explain(
      factsOf(rules, { throughput: steady(1n) }, { knowledge: knowledgeOf({ failures }) }),
      settings,
    );
    expect(explanation.reasons.map(({ code, metricType }) => [code, metricType])).toEqual([
      ['not-collected', 'cpu'],
      ['not-enough-samples', 'cpu'],
      ['not-breached', 'throughput'],
    ]);
    expect(sentenceOf(explanation)).toBe('Log-cache has failed for cpu since 22:11:50 (timeout: no answer).');
  });

  test('app metrics that ceased to come are stale where nobody says why', () => {
    const { reasons, evaluatedAtMs } = explain(factsOf([outRule], { cpu: { 70: 81n } }), settings);
    expect(reasons[0]).toEqual({ code: 'stale', rule: 1, metricType: 'cpu', sinceMs: atMs - 70_000 });
    expect(evaluatedAtMs).toBe(atMs);
  });

  test('an open breaker, why, and until when', () => {
    const explanation = explain(
      factsOf(
        [outRule],
        { cpu: steady(81n) },
        {
          knowledge: knowledgeOf({ code: 'breaker-open', untilMs: atMs + 300_000, lastTrigger: failing }),
        },
      ),
      settings,
    );
    expect(explanation.reasons.map(({ code }) => code)).toEqual([
      'breaker-open',
      'trigger-failed',
      'posted-recently',
    ]);
    expect(sentenceOf(explanation)).toBe(
      'Rule 1 (cpu > 80 % for 100 s) fires, but its breaker is open until 22:18:20, because triggers failed: answered 422 (no such app) (at 22:13:10).',
    );
  });

  test('what an older version of the policy was held for does not count', () => {
    const { verdict } = explain(
      factsOf(
        [outRule],
        { cpu: steady(81n) },
        {
          knowledge: knowledgeOf({ code: 'breaker-open', untilMs: atMs + 300_000, policyTag: 'other' }),
        },
      ),
      settings,
    );
    expect(verdict).toBe('fired');
  });

  test('a breaker that is open although no rule fires is a fact beside the verdict', () => {
    const breakers = [
      { scope: 'app', sinceMs: atMs - 60_000, untilMs: atMs + 300_000 },
      { scope: 'all', sinceMs: atMs - 4_000, untilMs: atMs },
    ] as const;
    const explained = (value: bigint, changes = {}) =>
      explain(
        factsOf([outRule], { cpu: steady(value) }, { knowledge: knowledgeOf({ breakers, ...changes }) }),
        settings,
      );
    const calm = explained(1n);
    expect(calm).toMatchObject({ verdict: 'not-fired', reasons: [{ code: 'not-breached' }] });
    expect(furtherSentences(calm)).toEqual([
      'The breaker of the app has been open since 22:12:20, because triggers failed: none is posted before 22:18:20.',
    ]);
    expect(explanationJson(calm)).toMatchObject({
      breakers: [
        { scope: 'app', state: 'open', since: '2023-11-14T22:12:20.000Z', until: '2023-11-14T22:18:20.000Z' },
        { scope: 'all', state: 'half-open', until: '2023-11-14T22:13:20.000Z' },
      ],
    });
    // The verdict has said it then.
    expect(furtherSentences(explained(81n, { code: 'breaker-open', untilMs: atMs + 300_000 }))).toEqual([]);
  });

  test('an open breaker holds back what fires now, also if its owner has not decided since', () => {
    const breakers = [
      { scope: 'app', sinceMs: atMs - 60_000, untilMs: atMs + 300_000 },
      { scope: 'all', sinceMs: atMs - 4_000, untilMs: atMs + 2_000 },
    ] as const;
    const explained = (some: readonly OpenBreaker[]) =>
      explain(
        factsOf([outRule], { cpu: steady(81n) }, { knowledge: knowledgeOf({ breakers: some }) }),
        settings,
      );
    expect(explained(breakers)).toMatchObject({
      verdict: 'held',
      reasons: [{ code: 'breaker-open', untilMs: atMs + 300_000 }],
    });
    expect(sentenceOf(explained(breakers.slice(1)))).toBe(
      'Rule 1 (cpu > 80 % for 100 s) fires, but the breaker of all apps of its owner is open until 22:13:22, because triggers failed.',
    );
  });

  test('an app that nobody owns, and one whose owner is another member', () => {
    const nobody = explain(factsOf([outRule], { cpu: { 70: 81n } }, { owner: 'nobody' }), settings);
    expect(nobody.reasons[0]).toEqual({ code: 'not-owned' });
    const other = explain(factsOf([outRule], { cpu: steady(1n) }, { knowledge: knowledgeOf() }), settings);
    expect(explanationJson(other)).toMatchObject({
      owner: {
        instance_index: 0,
        lease_id: 'lease',
        since: new Date(atMs - 600_000).toISOString(),
        me: false,
      },
    });
  });
});

test.each<[string, Partial<Facts>, string]>([
  ['policy_db', { policy: { kind: 'unknown' } }, 'unknown'],
  ['appmetrics_db', { histories: null }, 'unknown'],
  ['a policy', { policy: { kind: 'none' } }, 'no-policy'],
])('without %s nothing is guessed', (_, changes, code) => {
  const { verdict, reasons } = explain(factsOf([outRule], { cpu: steady(81n) }, changes), settings);
  expect([verdict, reasons[0].code]).toEqual(['not-evaluated', code]);
});

test('that a rule fires says little where nothing is known of what holds it back', () => {
  const explanation = explain(factsOf([outRule], { cpu: steady(81n) }, { pauses: null }), settings);
  expect(explanation.reasons.map(({ code }) => code)).toEqual(['fired', 'unknown']);
  expect([sentenceOf(explanation), ...furtherSentences(explanation)]).toEqual([
    'Rule 1 (cpu > 80 % for 100 s) fires, and +1 is posted unless something holds it back.',
    'That is not known here: cool-downs, back-offs and breakers of the app.',
  ]);
});

describe('the last trigger', () => {
  const scaled = { ...failing, result: 'scaled', message: null };
  const coolingDown = (lastTrigger: LastTrigger, changes: Partial<OwnersKnowledge> = {}) => {
    const pauses = { coolDownUntilMs: atMs + 30_000, ignoredOutUntilMs: null, ignoredInUntilMs: null };
    const knowledge = knowledgeOf({ lastTrigger, ...changes });
    return explain(factsOf([outRule], { cpu: steady(81n) }, { pauses, knowledge }), settings);
  };

  test.each([
    ['a rule of another version, as the owner says', coolingDown({ ...scaled, rule: null })],
    ['a version that the owner does not know yet', coolingDown(scaled, { policyTag: 'other' })],
  ])('of %s is not ascribed to a rule of this one', (_, explanation) => {
    expect(explanation.reasons).toEqual([
      { code: 'cooling-down', sinceMs: atMs - 10_000, untilMs: atMs + 30_000 },
    ]);
    expect(sentenceOf(explanation)).toBe('The app cools down until 22:13:50, since 22:13:10.');
    expect(explanationJson(explanation)).toMatchObject({ last_trigger: { rule: null, result: 'scaled' } });
  });

  const codesAfter = (trigger: Partial<LastTrigger>, cpu: Ages) => {
    const lastTrigger = { ...failing, atMs: atMs - 110_000, ...trigger };
    const facts = factsOf([outRule], { cpu }, { knowledge: knowledgeOf({ lastTrigger }) });
    return explain(facts, settings).reasons.map(({ code }) => code);
  };

  test('does not count if the policy or the breach is another one', () => {
    expect(codesAfter({}, steady(81n))).toEqual(['trigger-failed', 'fired']);
    expect(codesAfter({ rule: null }, steady(81n))).toEqual(['fired']);
    for (const calm of [1n, null]) {
      expect(codesAfter({}, { ...steady(81n), 105: calm })).toEqual(['fired']);
      expect(codesAfter({}, { ...steady(81n), 115: calm })).toEqual(['trigger-failed', 'fired']);
    }
  });
});

describe('of the past', () => {
  const recordedAs = (code: ReasonCode, cpu = steady(81n)) => {
    const recorded = { code, sinceMs: atMs - 90_000, text: 'cpu 81 %; answered 422' };
    const facts = factsOf([outRule], { cpu }, { recorded, pauses: null, owner: null, knownBy: 'table' });
    return explain(facts, settings);
  };

  test.each([
    ['cooling-down', 'held', 'The app cools down, since 22:11:50.'],
    [
      'at-max',
      'held',
      'Rule 1 (cpu > 80 % for 100 s) fires, but the scaling engine ignored +1 at 22:11:50: the app is at its maximum of 2 instances, not started, or its scaling is disabled.',
    ],
    [
      'breaker-open',
      'held',
      'Rule 1 (cpu > 80 % for 100 s) fires, but its breaker is open, because triggers failed.',
    ],
    [
      'lease-lost',
      'held',
      'Rule 1 (cpu > 80 % for 100 s) fires, but its owner has lost its lease and posts nothing.',
    ],
    [
      'trigger-failed',
      'fired',
      'Rule 1 (cpu > 80 % for 100 s) fires, but the scaling engine did not take it at 22:11:50 (cpu 81 %; answered 422).',
    ],
    ['fired', 'fired', 'Rule 1 (cpu > 80 % for 100 s) fires, and +1 was posted at 22:11:50.'],
    [
      'not-breached',
      'fired',
      'Rule 1 (cpu > 80 % for 100 s) fires, but the recorded decision is not-breached, since 22:11:50.',
    ],
  ] as const)('a recorded %s counts', (code, verdict, sentence) => {
    const explanation = recordedAs(code);
    expect([explanation.verdict, explanation.reasons[0].code]).toEqual([
      verdict,
      code === 'not-breached' ? 'fired' : code,
    ]);
    expect(sentenceOf(explanation)).toBe(sentence);
    expect(explanationJson(explanation)).toMatchObject({
      known_by: 'table',
      owner_said: { code, since: '2023-11-14T22:11:50.000Z', until: null, instance_index: null },
    });
  });

  test('rules that do not fire are not held, whatever was recorded', () => {
    expect(recordedAs('at-max', steady(1n))).toMatchObject({
      verdict: 'not-fired',
      reasons: [{ code: 'not-breached' }],
    });
    expect(recordedAs('at-min')).toMatchObject({ verdict: 'fired', reasons: [{ code: 'fired' }] });
  });
});

test('a policy without rules scales nothing, also after its cool-down', () => {
  const pauses = { coolDownUntilMs: atMs + 30_000, ignoredOutUntilMs: null, ignoredInUntilMs: null };
  const { reasons } = explain(factsOf([], {}, { pauses }), settings);
  expect(reasons.map(({ code }) => code)).toEqual(['no-rules', 'cooling-down']);
});

test('a later rule is hidden by one that fires', () => {
  const { rules } = explain(factsOf([inRule, outRule, outRule], { cpu: steady(81n) }), settings);
  expect(rules.map(({ verdict, behindRule }) => [verdict, behindRule])).toEqual([
    ['not-breached', null],
    ['fires', null],
    ['fires', 2],
  ]);
});

test('every code has a sentence', () => {
  const explanation = explain(factsOf([outRule], { cpu: steady(81n) }), settings);
  for (const code of reasonCodes) {
    const text = sentenceOf({
      ...explanation,
      reasons: [{ code, rule: 1, metricType: 'cpu', detail: 'so' }],
    });
    expect(text).toMatch(/^[A-Z].*\.$/);
    expect(text).not.toContain('undefined');
  }
});

const anyPoints = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.option(fc.bigInt(0n, 100n), { freq: 15 })), {
    maxLength: 25,
  })
  .map((steps) => {
    let ageSecs = 0;
    return steps.map(([gap, value]): Point => {
      ageSecs += gap;
      return { timestampNs: BigInt(atMs - ageSecs * 1_000) * 1_000_000n, value };
    });
  });
const anyRule = fc.record({
  metricType: fc.constantFrom('cpu', 'throughput', 'jobs'),
  threshold: fc.bigInt(0n, 100n),
  operator: fc.constantFrom('>', '>=', '<', '<=', '='),
  adjustment: fc.constantFrom('+1', '-1'),
  breachDurationSecs: fc.constantFrom(0, 20, 60, 200),
  coolDownSecs: fc.constant(0),
});
const anyTime = fc.option(fc.integer({ min: -60_000, max: 60_000 }).map((ms) => atMs + ms));
const anyRecorded = fc.record({
  code: fc.constantFrom(...reasonCodes),
  sinceMs: fc.constant(atMs - 90_000),
  text: fc.constant('so'),
});
const anyBreaker = fc.record({
  scope: fc.constantFrom('app' as const, 'all' as const),
  sinceMs: fc.constant(atMs - 90_000),
  untilMs: fc.integer({ min: atMs - 60_000, max: atMs + 60_000 }),
});
const anyKnowledge = fc.record({
  breakers: fc.array(anyBreaker, { maxLength: 2 }),
  code: fc.constantFrom('breaker-open', 'at-max', 'lease-lost', 'cooling-down', 'not-breached'),
  untilMs: anyTime,
  lastTrigger: fc.option(
    fc.record({
      atMs: fc.integer({ min: atMs - 80_000, max: atMs }),
      result: fc.constantFrom('scaled', 'ignored', 'rejected'),
      direction: fc.constantFrom('out', 'in'),
    }),
  ),
});

test('the verdict is what decide says of the same policy, histories, time and gate, whatever they are', () => {
  fc.assert(
    fc.property(
      fc.array(anyRule, { maxLength: 4 }),
      fc.array(anyPoints, { minLength: 2, maxLength: 2 }),
      fc.record({ coolDownUntilMs: anyTime, ignoredOutUntilMs: anyTime, ignoredInUntilMs: anyTime }),
      fc.option(anyKnowledge),
      fc.option(anyRecorded),
      (rules, [cpu = [], throughput = []], pauses, known, recorded) => {
        const series = new Map([
          ['cpu', pointSeries(cpu, '%')],
          ['throughput', pointSeries(throughput, 'rps')],
        ]);
        const histories: Histories = { series: (_appId, metricType) => series.get(metricType) };
        const knowledge =
          known &&
          knowledgeOf({
            ...known,
            code: known.code as never,
            lastTrigger: known.lastTrigger && { ...failing, ...(known.lastTrigger as object) },
          });
        const facts = factsOf(rules, histories, { pauses, knowledge, recorded });
        const policy = policyOf(rules);
        const t = evaluationTimeNs(policy, facts, settings);
        const decision = decide(policy, histories, t, gateOf(facts), settings);
        const explanation = explain(facts, settings);
        expect(explanation.verdict).toBe(decision.outcome);
        const codes = explanation.reasons.map(({ code }) => code);
        if (decision.outcome === 'held') expect(codes).toContain(decision.reason);
        if (decision.outcome === 'fired') expect(codes).toContain('fired');
        if (decision.outcome === 'not-fired') {
          expect(explanation.rules.map(({ verdict }) => verdict)).toEqual(
            decision.verdicts.map(({ reason }) => reason),
          );
          for (const { reason } of decision.verdicts) expect(codes).toContain(reason);
        }
        expect(() => JSON.stringify(explanationJson(explanation))).not.toThrow();
        expect(sentenceOf(explanation)).not.toContain('undefined');
      },
    ),
    { numRuns: 500 },
  );
});
