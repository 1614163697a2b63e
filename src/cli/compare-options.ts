import { durationMs, sinceMs } from './durations.js';

/** What is compared. */
export interface CompareChoice {
  /** null: every app that has a policy. */
  readonly appId: string | null;
  readonly sinceMs: number;
  /** Of the collection; null: as configured. */
  readonly intervalMs: number | null;
  readonly json: boolean;
}

export const compareUsage = `Usage: eventgenerator compare [--since DURATION] [--app GUID] [--json]

Compares what the acting fleet has stored in app_metric with what observers have stored beside it, and what the rules
make of both, in the time that both cover. Reads appmetrics_db and policy_db, and changes nothing.

Options:
  --since DURATION    How far back, as 90m, 24h (default) or 7d; at most 30d
  --app GUID          One app, also where it is alike; default: all, of which those are shown that differ
  --interval DURATION Collection interval, as 40s; default: as configured
  --json              An object a line for each app, and one for all of them
  -c, --config FILE   As always

Exit codes: 0 alike, 3 where there are differences, 1 where it could not be found out, 2 for wrong usage.
`;

/** Throws a UsageError for what is no duration. */
export function compareOptions(values: {
  readonly app?: string | undefined;
  readonly since?: string | undefined;
  readonly interval?: string | undefined;
  readonly json?: boolean | undefined;
}): CompareChoice {
  return {
    appId: values.app ?? null,
    sinceMs: sinceMs(values.since),
    intervalMs: values.interval === undefined ? null : durationMs('interval', values.interval),
    json: values.json ?? false,
  };
}
