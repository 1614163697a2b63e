import type { ReasonCode } from '../explanation/reason.js';
import type { DecisionRow } from './decision-store.js';
import {
  isPolicyReason,
  listedByPolicy,
  listedDecision,
  type ListedDecision,
  type ListQuery,
} from './listed-decision.js';
import type { AppsByPolicy } from './policy-survey.js';

/** Decisions of apps that are evaluated: a table of all, or the memory of an owner. */
interface Evaluated {
  list(query: ListQuery): readonly DecisionRow[] | Promise<readonly DecisionRow[]>;
  count(): ReadonlyMap<ReasonCode, number> | Promise<ReadonlyMap<ReasonCode, number>>;
}

/** Lists and counts apps by reason. Apps that nobody evaluates are known by their policies. */
export function createDecisionLists(appsByPolicy: () => Promise<AppsByPolicy>, evaluated: () => Evaluated) {
  return {
    async list(query: ListQuery): Promise<readonly ListedDecision[]> {
      const { code } = query;
      if (!isPolicyReason(code)) return (await evaluated().list(query)).map(listedDecision);
      return [...(await appsByPolicy())[code].problems]
        .filter(([appId]) => appId > query.after)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .slice(0, query.limit)
        .map(([appId, problem]) => listedByPolicy(appId, code, problem));
    },

    async count(): Promise<ReadonlyMap<ReasonCode, number>> {
      const counts = new Map(await evaluated().count());
      const surveyed = await appsByPolicy();
      for (const code of ['policy-broken', 'no-rules'] as const) {
        const { apps } = surveyed[code];
        if (apps > 0) counts.set(code, apps);
      }
      return counts;
    },
  };
}
