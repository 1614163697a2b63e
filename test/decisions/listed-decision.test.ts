import { expect, test } from '@jest/globals';
import { listedDecision } from '../../src/decisions/listed-decision.js';
import type { OpenBreaker } from '../../src/evaluation/open-breaker.js';
import { knowledgeOf } from '../explanation/examples.js';

test.each<[OpenBreaker['scope'], string]>([
  ['app', 'no such app'],
  ['all', ''],
])("the last response to an app's trigger tells why a breaker of %j is open: %j", (scope, detail) => {
  const lastTrigger = { atMs: 5, rule: 1, adjustment: '+1', direction: 'out', result: 'rejected' } as const;
  const knowledge = knowledgeOf({
    code: 'breaker-open',
    lastTrigger: { ...lastTrigger, message: 'no such app' },
    breakers: [{ scope, sinceMs: 5, untilMs: 9 }],
  });
  expect(listedDecision({ ...knowledge, appId: 'app' }).detail).toBe(detail);
});
