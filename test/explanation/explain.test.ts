import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decide, type Histories } from '../../src/evaluation/decide.js';
import { evaluationTimeNs, explain } from '../../src/explanation/explain.js';
import { explanationJson } from '../../src/explanation/explanation-json.js';
import { gateOf, type Facts, type LastTrigger } from '../../src/explanation/facts.js';
import { pointSeries, type Point } from '../../src/explanation/point-series.js';
import { reasonCodes } from '../../src/explanation/reason.js';
import { furtherSentences, sentenceOf } from '../../src/explanation/sentence.js';
import { inRule, outRule, policyOf, settings, steady } from '../evaluation/examples.js';
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
const anyKnowledge = fc.record({
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
      (rules, [cpu = [], throughput = []], pauses, known) => {
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
        const facts = factsOf(rules, histories, { pauses, knowledge });
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
