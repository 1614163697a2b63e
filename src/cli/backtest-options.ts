import { parseGoDuration } from '../config/go-duration.js';
import { UsageError } from './usage-error.js';

/** What a back-test is about. */
export interface BacktestChoice {
  /** A file, or `current` for the policy in force. */
  readonly policy: string;
  /** A file, `current`, or null: nothing to compare with. */
  readonly against: string | null;
  /** null: every app that has a policy. */
  readonly appId: string | null;
  readonly sinceMs: number;
  /** Of the collection; null: as configured. */
  readonly intervalMs: number | null;
  /** At the start; null: the minimum of each policy. */
  readonly instances: number | null;
  readonly historyFile: string | null;
  readonly svgFile: string | null;
  readonly json: boolean;
}

export const backtestUsage = `Usage: eventgenerator backtest --app GUID [--policy FILE|current] [--against FILE|current] [options]
       eventgenerator backtest --all [--policy FILE|current] [--against FILE|current] [options]

Replays the app metrics that were recorded through the rules of a policy, with cool-downs, back-offs and limits, and
says when it would have scaled the app. Reads appmetrics_db and policy_db, and changes nothing.

Options:
  --app GUID          The app
  --all               Every app that has a policy: a line each, or with --json an object a line
  --policy FILE       The policy to try, as JSON; current (default) is the one in force
  --against FILE      Another policy to compare it with; current is the one in force
  --since DURATION    How far back, as 90m, 24h (default) or 7d; at most 30d
  --interval DURATION Collection interval of what was recorded, as 40s; default: as configured
  --instances N       Number of instances at the start; default: the minimum of each policy
  --history FILE      Real numbers of instances: the table of \`cf autoscaling-history\`, or the JSON of the API.
                      With them values that instances share follow the number of instances in the replay
  --svg FILE          Also write a chart
  --json              JSON instead of text
  -c, --config FILE   As always

Without --history the loop is open: values are those of the real number of instances, which nobody has recorded.
`;

const dayMs = 86_400_000;
const maxSinceMs = 30 * dayMs;

type Values = Readonly<Partial<Record<string, string | boolean>>>;

/** Throws a UsageError for options that make no sense together. */
export function backtestOptions(values: Values): BacktestChoice {
  const text = (name: string): string | null => {
    const value = values[name];
    return typeof value === 'string' ? value : null;
  };
  const isAll = values['all'] === true;
  const appId = text('app');
  if (isAll === (appId !== null)) throw new UsageError('backtest needs either --app GUID or --all');
  for (const name of ['svg', 'history', 'instances']) {
    if (isAll && name in values)
      throw new UsageError(`--${name} is about one app: it does not go with --all`);
  }
  const instances = text('instances');
  if (instances !== null && !/^\d{1,6}$/.test(instances)) {
    throw new UsageError(`--instances '${instances}' is no number of instances`);
  }
  if (instances !== null && 'history' in values) {
    throw new UsageError('--history says how many instances there were: --instances does not go with it');
  }
  const intervalMs = duration('interval', text('interval'));
  return {
    policy: text('policy') ?? 'current',
    against: text('against'),
    appId,
    sinceMs: sinceMs(text('since')),
    intervalMs,
    instances: instances === null ? null : Number(instances),
    historyFile: text('history'),
    svgFile: text('svg'),
    json: values['json'] === true,
  };
}

function sinceMs(text: string | null): number {
  const ms = duration('since', text) ?? dayMs;
  if (ms > maxSinceMs) throw new UsageError(`--since '${text}' is more than 30d`);
  return ms;
}

/** As Go writes them, and whole days: `7d`. */
function duration(name: string, text: string | null): number | null {
  if (text === null) return null;
  const [, days] = /^(\d{1,4})d$/.exec(text) ?? [];
  const ms = days === undefined ? Number(parseGoDuration(text) ?? 0n) / 1e6 : Number(days) * dayMs;
  if (ms < 1) throw new UsageError(`--${name} '${text}' is no duration, as 90m, 24h or 7d`);
  return ms;
}
