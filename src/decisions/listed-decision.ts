import { failureText } from '../explanation/facts.js';
import type { ListedReason, ReasonCode } from '../explanation/reason.js';
import { isoTimeOrNull } from '../util/iso-time.js';
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
  readonly code: ListedReason;
  /** The list begins after this app id. */
  readonly after: string;
  readonly limit: number;
}

export function listedDecision(row: DecisionRow): ListedDecision {
  const { appId, code, sinceMs, untilMs, instanceIndex } = row;
  return { appId, code, sinceMs, untilMs, instanceIndex, detail: detailOf(row) };
}

/** Reasons of apps that nobody evaluates: whoever reads the policies knows them. */
export type PolicyReason = 'policy-broken' | 'no-rules';

export function isPolicyReason(code: ListedReason): code is PolicyReason {
  return code === 'policy-broken' || code === 'no-rules';
}

export function listedByPolicy(appId: string, code: PolicyReason, detail: string): ListedDecision {
  return { appId, code, sinceMs: null, untilMs: null, instanceIndex: null, detail };
}

/** What failed, where something did. */
function detailOf({ code, failures, lastTrigger, breakers }: DecisionRow): string {
  const [failure] = failures;
  if (code === 'not-collected' && failure) {
    return `${failure.metricType}: ${failureText(failure)}`;
  }
  // The breaker that all apps share was opened by other triggers.
  const isOwnBreaker = code === 'breaker-open' && breakers.some(({ scope }) => scope === 'app');
  return isOwnBreaker || code === 'trigger-failed' ? (lastTrigger?.message ?? '') : '';
}

/** Whether this may be where a page begins: an app id, which PostgreSQL can compare. */
export function isCursor(value: unknown): value is string {
  return typeof value === 'string' && value.length <= 255 && !value.includes('\0');
}

/** Where the page after `page` begins, or null: only a full page has a next one. */
export function cursorAfter(page: readonly ListedDecision[], limit: number): string | null {
  return page.length === limit ? (page.at(-1)?.appId ?? null) : null;
}

/** As the API and `decisions --json` give it. */
export function listedJson({ appId, code, sinceMs, untilMs, instanceIndex, detail }: ListedDecision) {
  return {
    app_id: appId,
    code,
    since: isoTimeOrNull(sinceMs),
    until: isoTimeOrNull(untilMs),
    instance_index: instanceIndex,
    detail,
  };
}
