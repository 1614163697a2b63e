import type { ReasonCode } from '../explanation/reason.js';
import type { DecisionRow } from './decision-store.js';

/** An app in a list of those of one code. Times are wall-clock ms; null: not known, or there is none. */
export interface ListedDecision {
  readonly appId: string;
  readonly code: ReasonCode;
  readonly sinceMs: number | null;
  readonly untilMs: number | null;
  readonly instanceIndex: number | null;
  readonly detail: string;
}

export interface ListQuery {
  readonly code: ReasonCode;
  /** The list begins after this app id. */
  readonly after: string;
  readonly limit: number;
}

export function listedDecision(row: DecisionRow): ListedDecision {
  const { appId, code, sinceMs, untilMs, instanceIndex } = row;
  return { appId, code, sinceMs, untilMs, instanceIndex, detail: detailOf(row) };
}

/** Broken policies are evaluated by nobody: whoever reads policy_db knows them. */
export function listedBroken(appId: string, problem: string): ListedDecision {
  const unknown = { sinceMs: null, untilMs: null, instanceIndex: null };
  return { appId, code: 'policy-broken', ...unknown, detail: problem };
}

/** What failed, where something did. */
function detailOf({ code, failures, lastTrigger }: DecisionRow): string {
  const [failure] = failures;
  if (code === 'not-collected' && failure) {
    return `${failure.metricType}: ${failure.failure}: ${failure.message}`;
  }
  if (code !== 'breaker-open' && code !== 'trigger-failed') return '';
  return lastTrigger?.message ?? '';
}

/** Where the page after `page` begins, or null: only a full page has a next one. */
export function cursorAfter(page: readonly ListedDecision[], limit: number): string | null {
  return page.length === limit ? (page.at(-1)?.appId ?? null) : null;
}

/** As the API and `decisions --json` give it. */
export function listedJson({ appId, code, sinceMs, untilMs, instanceIndex, detail }: ListedDecision) {
  const iso = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString());
  return {
    app_id: appId,
    code,
    since: iso(sinceMs),
    until: iso(untilMs),
    instance_index: instanceIndex,
    detail,
  };
}
