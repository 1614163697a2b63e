import { expect, test } from '@jest/globals';
import { explanationText } from '../../src/cli/explanation-text.js';
import { explain } from '../../src/explanation/explain.js';
import { outRule, settings, steady } from '../evaluation/examples.js';
import { atMs, factsOf, knowledgeOf } from '../explanation/examples.js';

test('an explanation for a terminal: causes, rules, chart, and what is missing', () => {
  const lastTrigger = {
    atMs: atMs - 32_000,
    rule: 1,
    adjustment: '+1',
    direction: 'out',
    result: 'ignored',
    message: null,
  } as const;
  const explanation = explain(
    factsOf(
      [outRule, { ...outRule, metricType: 'jobs' }],
      { cpu: { ...steady(300n), 200: null } },
      {
        pauses: { coolDownUntilMs: null, ignoredOutUntilMs: atMs + 30_000, ignoredInUntilMs: null },
        knowledge: knowledgeOf({ lastTrigger }),
        knownBy: 'table',
        missing: ['one thing'],
      },
    ),
    settings,
  );
  expect(explanationText(explanation)).toBe(
    [
      'app       app   1 to 2 instances',
      'at        2023-11-14 22:13:20 UTC',
      'owner     instance 0, lease lease, since 22:03:20',
      'verdict   HELD  at-max, at-limit-backoff, posted-recently',
      '          Rule 1 (cpu > 80 % for 100 s) fires, but the scaling engine ignored +1 at 22:12:48: the app is at its maximum of 2 instances, not started, or its scaling is disabled; next try at 22:13:50.',
      'rule 1    cpu > 80 % for 100 s → +1   fires; 6 of 6 app metrics in breach, 3 needed; newest 300 % at 22:13:20',
      'rule 2    jobs > 80 for 100 s → +1   not-enough-samples; 0 of 0 app metrics in breach, 3 needed; none stored; hidden by rule 1',
      'posted    +1 by rule 1 at 22:12:48: ignored',
      'missing   one thing',
      '',
      'cpu, with the threshold of rule 1',
      ' ██████████',
      ' ██████████',
      ' ██████████',
      '─██████████ 80',
      '·██████████',
      '',
    ].join('\n'),
  );
});

test('of the past it says what was recorded', () => {
  const recorded = { code: 'at-max', sinceMs: atMs - 90_000, text: 'cpu 300 %' } as const;
  const facts = factsOf([outRule], { cpu: steady(300n) }, { owner: null, pauses: null, recorded });
  const lines = explanationText(explain(facts, settings)).split('\n');
  expect(lines.slice(2, 4)).toEqual(['owner     unknown', 'verdict   HELD  at-max, at-limit-backoff']);
  expect(lines).toContain('recorded  at-max since 22:11:50 (cpu 300 %)');
});

test('each cause has a sentence, also behind one that is graver', () => {
  const pauses = { coolDownUntilMs: atMs + 30_000, ignoredOutUntilMs: null, ignoredInUntilMs: null };
  const facts = factsOf([outRule], { cpu: steady(300n) }, { owner: 'nobody', pauses });
  expect(explanationText(explain(facts, settings)).split('\n').slice(3, 6)).toEqual([
    'verdict   HELD  not-owned, cooling-down',
    '          No living member owns the app: no eventgenerator collects and evaluates it.',
    '          The app cools down until 22:13:50.',
  ]);
});

test('what tenants wrote cannot move the cursor', () => {
  const rule = { ...outRule, operator: '\u001b[2J', metricType: 'jobs\u202e' };
  const text = explanationText(explain(factsOf([rule], { 'jobs\u202e': steady(1n) }), settings));
  expect(text).not.toMatch(/[\u001b\u202e]/);
  expect(text).toContain('jobs?');
});

test('an app without policy needs a few lines only', () => {
  const explanation = explain(factsOf([], {}, { policy: { kind: 'none' }, owner: 'nobody' }), settings);
  expect(explanationText(explanation)).toBe(
    [
      'app       app',
      'at        2023-11-14 22:13:20 UTC',
      'owner     nobody',
      'verdict   NOT-EVALUATED  no-policy',
      '          The app has no policy.',
      '',
    ].join('\n'),
  );
});
