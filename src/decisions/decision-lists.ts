import type { ReasonCode } from '../explanation/reason.js';
import type { PolicyPoller } from '../policy/policy-poller.js';
import type { DecisionRow } from './decision-store.js';
import {
  isPolicyReason,
  listedByPolicy,
  listedDecision,
  type ListedDecision,
  type ListQuery,
  type PolicyReason,
} from './listed-decision.js';

type Policies = Pick<PolicyPoller, 'broken' | 'withoutRules'>;

/** Decisions of apps that are evaluated: a table of all, or the memory of an owner. */
interface Evaluated {
  list(query: ListQuery): readonly DecisionRow[] | Promise<readonly DecisionRow[]>;
  count(): ReadonlyMap<ReasonCode, number> | Promise<ReadonlyMap<ReasonCode, number>>;
}

/** Lists and counts apps by reason. Apps that nobody evaluates are known by their policies. */
export function createDecisionLists(policies: Policies, evaluated: () => Evaluated) {
  return {
    async list(query: ListQuery): Promise<readonly ListedDecision[]> {
      const { code } = query;
      if (!isPolicyReason(code)) return (await evaluated().list(query)).map(listedDecision);
      return [...appsByPolicy(policies, code)]
        .filter(([appId]) => appId > query.after)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, query.limit)
        .map(([appId, problem]) => listedByPolicy(appId, code, problem));
    },

    async count(): Promise<ReadonlyMap<ReasonCode, number>> {
      const counts = new Map(await evaluated().count());
      for (const code of ['policy-broken', 'no-rules'] as const) {
        const apps = appsByPolicy(policies, code).size;
        if (apps > 0) counts.set(code, apps);
      }
      return counts;
    },
  };
}

/** App id to what is wrong with its policy. */
function appsByPolicy(policies: Policies, code: PolicyReason): ReadonlyMap<string, string> {
  return code === 'policy-broken'
    ? policies.broken
    : new Map(policies.withoutRules().map((appId) => [appId, '']));
}
