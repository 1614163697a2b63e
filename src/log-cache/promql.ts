import { isLiteral } from './name-filter.js';

/*
 * The two PromQL queries for http metrics. Only timers of peer type Client count: gorouter emits a second one for
 * the same request with peer type Server and books it on instance 0.
 */

/** Requests per second of each instance, in the `[windowSecs]` before the evaluation time. */
export function throughputQuery(appIds: readonly string[], windowSecs: number): string {
  return `sum by (source_id, instance_id) (count_over_time(${timers(appIds, windowSecs)})) / ${windowSecs}`;
}

/** Response time of each instance in ms: the mean over its series of the slowest request in each. */
export function responseTimeQuery(appIds: readonly string[], windowSecs: number): string {
  return `avg by (source_id, instance_id) (max_over_time(${timers(appIds, windowSecs)})) / (1000 * 1000)`;
}

/**
 * Whether an app id may share a query with others: log-cache splits the text of `=~` at every `|` and takes the parts
 * literally, but the auth proxy before it compiles the whole as a regular expression and rejects what is none.
 */
export function canShareQuery(appId: string): boolean {
  return isLiteral(appId);
}

const secondsPerUnit = [86_400, 3_600, 60, 1];

/**
 * The query window for a collection interval: the largest number of whole days, hours, minutes or seconds within it,
 * at least a second. The auth proxy prints 90 s as `1m30s`, which log-cache then cannot parse.
 */
export function promqlWindowSecs(intervalMs: number): number {
  const secs = Math.max(1, Math.floor(intervalMs / 1000));
  const unit = secondsPerUnit.find((seconds) => seconds <= secs) ?? 1;
  return Math.floor(secs / unit) * unit;
}

function timers(appIds: readonly string[], windowSecs: number): string {
  return `http{${sourceMatcher(appIds)},peer_type="Client"}[${windowSecs}s]`;
}

/** For log-cache `=~` is a list of literal ids, which must be a regular expression of the same meaning. */
function sourceMatcher(appIds: readonly string[]): string {
  const operator = appIds.length > 1 ? '=~' : '=';
  return `source_id${operator}${JSON.stringify(appIds.join('|'))}`;
}
