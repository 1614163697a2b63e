import { compareOptions, type CompareChoice } from './compare-options.js';
import { UsageError } from './usage-error.js';

/** What a back-test is about. */
export interface BacktestChoice extends CompareChoice {
  /** A file, or `current` for the policy in force. */
  readonly policy: string;
  /** A file, `current`, or null: nothing to compare with. */
  readonly against: string | null;
  /** At the start; null: the minimum of each policy. */
  readonly instances: number | null;
  readonly historyFile: string | null;
  readonly svgFile: string | null;
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

type Values = Parameters<typeof compareOptions>[0] &
  Readonly<Partial<Record<'policy' | 'against' | 'instances' | 'history' | 'svg', string | undefined>>> & {
    readonly all?: boolean | undefined;
  };

/** Throws a UsageError for options that make no sense together. */
export function backtestOptions(values: Values): BacktestChoice {
  const { all = false, app, instances } = values;
  if (all === (app !== undefined)) throw new UsageError('backtest needs either --app GUID or --all');
  for (const name of ['svg', 'history', 'instances'] as const) {
    if (all && values[name] !== undefined) {
      throw new UsageError(`--${name} is about one app: it does not go with --all`);
    }
  }
  if (instances !== undefined && !/^\d{1,6}$/.test(instances)) {
    throw new UsageError(`--instances '${instances}' is no number of instances`);
  }
  if (instances !== undefined && values.history !== undefined) {
    throw new UsageError('--history says how many instances there were: --instances does not go with it');
  }
  return {
    ...compareOptions(values),
    policy: values.policy ?? 'current',
    against: values.against ?? null,
    instances: instances === undefined ? null : Number(instances),
    historyFile: values.history ?? null,
    svgFile: values.svg ?? null,
  };
}
