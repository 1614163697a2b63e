import type { Histories } from '../../src/evaluation/decide.js';
import { policyTag, type Facts, type OwnersKnowledge } from '../../src/explanation/facts.js';
import type { ScalingRule } from '../../src/policy/policy.js';
import { nsToMs } from '../../src/util/clock.js';
import { atNs, historyOf, policyOf, type Ages } from '../evaluation/examples.js';

export const atMs = nsToMs(atNs);

/** Facts about the app of these rules, of which everything is known and nothing holds it back. */
export function factsOf(
  rules: readonly ScalingRule[],
  histories: Readonly<Record<string, Ages>> | Histories,
  changes: Partial<Facts> = {},
): Facts {
  return {
    appId: 'app',
    isObserver: false,
    atMs,
    policy: { kind: 'usable', policy: policyOf(rules), minInstances: 1, maxInstances: 2 },
    histories: isHistories(histories) ? histories : historyOf(histories),
    withoutValues: [],
    pauses: { coolDownUntilMs: null, ignoredOutUntilMs: null, ignoredInUntilMs: null },
    owner: { instanceIndex: 0, leaseId: 'lease', instanceGuid: 'guid', isMe: false },
    knowledge: null,
    knownBy: null,
    recorded: null,
    missing: [],
    evaluationIntervalMs: 40_000,
    ...changes,
  };
}

function isHistories(some: Readonly<Record<string, Ages>> | Histories): some is Histories {
  return typeof some['series'] === 'function';
}

export function knowledgeOf(changes: Partial<OwnersKnowledge> = {}): OwnersKnowledge {
  return {
    code: 'not-breached',
    sinceMs: atMs - 60_000,
    untilMs: null,
    policyTag: policyTag('1'),
    ownedSinceMs: atMs - 600_000,
    leaseId: 'lease',
    instanceIndex: 0,
    updatedAtMs: atMs - 1_000,
    lastTrigger: null,
    failures: [],
    breakers: [],
    ...changes,
  };
}
