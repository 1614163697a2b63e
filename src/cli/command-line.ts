import { errorText } from '../util/errors.js';
import { parseArgs } from 'node:util';
import { isListedReason, listedReasons, whyNotListed, type ListedReason } from '../explanation/reason.js';
import { backtestOptions, backtestUsage, type BacktestChoice } from './backtest-options.js';
import { compareOptions, compareUsage, type CompareChoice } from './compare-options.js';
import type { ExplainOptions } from './explain-command.js';
import type { MigrateOptions } from './migrate-command.js';
import { UsageError } from './usage-error.js';

export type Command =
  | ({ readonly configFile: string | undefined } & ConfiguredCommand)
  | { readonly name: 'read-log' | 'version' }
  | { readonly name: 'help'; readonly text: string };

type ConfiguredCommand =
  | { readonly name: 'run' }
  | ({ readonly name: 'migrate' } & MigrateOptions)
  | { readonly name: 'members'; readonly json: boolean }
  | ({ readonly name: 'explain' } & ExplainOptions)
  | { readonly name: 'decisions'; readonly reason: ListedReason; readonly json: boolean }
  /** file null: every policy of policy_db. */
  | { readonly name: 'lint'; readonly file: string | null }
  | ({ readonly name: 'backtest' } & BacktestChoice)
  | ({ readonly name: 'compare' } & CompareChoice);

export const usage = `Usage: eventgenerator [command] [-c FILE]

Reads apps' metrics from log-cache, evaluates scaling policies and tells the scaling engine to scale.

Commands:
  run        Run until SIGTERM (default)
  migrate    Create the eventgenerator's own tables in appmetrics_db; --all also creates policy_json and
             app_metric, which elsewhere belong to the rest of the autoscaler: for laptops and tests only.
             With --drop-observed it removes the tables of observers (evaluator.mode: observe) instead
  members    Show who shares the apps in elastic mode: since when, and how many apps each owns
  explain APP
             Say why an app was scaled or not, from the databases; --at TIME asks about the past
  decisions  List the apps whose newest decision has the code in --reason
  lint FILE  Say what is doubtful about a policy; --all looks at every policy of policy_db
  backtest   Say what a policy would have done with the app metrics of the past; backtest --help says more
  compare    Compare what observers found out with what the acting fleet did; compare --help says more
  read-log   Turn the log on stdin into lines for people

Options:
  -c, --config FILE   Configuration in YAML. On Cloud Foundry it is optional: the bound service with the tag
                      eventgenerator-config is read after it
  --all               With migrate: create all tables; with lint: every policy; with backtest: every app
  --drop-observed     With migrate: remove what observers stored; none may be running any more
  --json              With members, explain, decisions, backtest and compare: JSON instead of text
  --at TIME           With explain: a time in the past, as 2026-11-27T03:00Z
  --reason CODE       With decisions: one of
                      ${wrapped(listedReasons, 60).join('\n                      ')}
  -h, --help          Show this help
  --version           Show the version

Exit codes: 0 after SIGTERM or a finished command, 1 for a configuration or start-up error, 2 for wrong usage, 3 where
compare finds differences.
`;

/** Options that only some commands take. */
const optionsOfSome = {
  all: { type: 'boolean', takenBy: ['migrate', 'lint', 'backtest'] },
  'drop-observed': { type: 'boolean', takenBy: ['migrate'] },
  json: { type: 'boolean', takenBy: ['members', 'explain', 'decisions', 'backtest', 'compare'] },
  at: { type: 'string', takenBy: ['explain'] },
  reason: { type: 'string', takenBy: ['decisions'] },
  policy: { type: 'string', takenBy: ['backtest'] },
  against: { type: 'string', takenBy: ['backtest'] },
  app: { type: 'string', takenBy: ['backtest', 'compare'] },
  since: { type: 'string', takenBy: ['backtest', 'compare'] },
  interval: { type: 'string', takenBy: ['backtest', 'compare'] },
  instances: { type: 'string', takenBy: ['backtest'] },
  history: { type: 'string', takenBy: ['backtest'] },
  svg: { type: 'string', takenBy: ['backtest'] },
} as const;

const helpOf = new Map([
  ['backtest', backtestUsage],
  ['compare', compareUsage],
]);

/** Throws UsageError for anything it does not know. */
export function parseCommandLine(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  const [command = 'run', ...rest] = positionals;
  if (values.help) return { name: 'help', text: helpOf.get(command) ?? usage };
  if (values.version) return { name: 'version' };
  for (const [option, { takenBy }] of Object.entries(optionsOfSome)) {
    if (!(option in values) || (takenBy as readonly string[]).includes(command)) continue;
    throw new UsageError(`--${option} goes with ${takenBy.join(' and ')} only`);
  }
  const takesOne = command === 'explain' || (command === 'lint' && !values.all);
  const [argument, extra] = takesOne ? rest : [undefined, rest[0]];
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`);
  const configFile = values.config;
  const json = values.json ?? false;
  switch (command) {
    case 'run':
      return { name: 'run', configFile };
    case 'migrate':
      return { name: 'migrate', configFile, ...migrateOptions(values) };
    case 'members':
      return { name: 'members', configFile, json };
    case 'explain':
      if (argument === undefined) throw new UsageError('explain needs the guid of an app');
      return { name: 'explain', configFile, appId: argument, json, atMs: pastTime(values.at) };
    case 'decisions':
      return { name: 'decisions', configFile, json, reason: listedReason(values.reason) };
    case 'lint':
      if (argument === undefined && !values.all) throw new UsageError('lint needs a file, or --all');
      return { name: 'lint', configFile, file: argument ?? null };
    case 'backtest':
      return { name: 'backtest', configFile, ...backtestOptions(values) };
    case 'compare':
      return { name: 'compare', configFile, ...compareOptions(values) };
    case 'read-log':
      return { name: 'read-log' };
    default:
      throw new UsageError(`unknown command '${command}'`);
  }
}

function migrateOptions(values: ReturnType<typeof parse>['values']) {
  const { all = false, 'drop-observed': dropObserved = false } = values;
  if (all && dropObserved) throw new UsageError('--all and --drop-observed exclude each other');
  return { all, dropObserved };
}

function pastTime(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const atMs = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/.test(text)
    ? Date.parse(text)
    : NaN;
  if (Number.isNaN(atMs)) {
    throw new UsageError(`--at '${text}' is no time with a zone, as 2026-11-27T03:00Z`);
  }
  return atMs;
}

function listedReason(text: string | undefined): ListedReason {
  if (text === undefined) throw new UsageError('decisions needs --reason CODE');
  if (!isListedReason(text)) throw new UsageError(`--reason '${text}': ${whyNotListed(text)}`);
  return text;
}

/** Words in lines of at most so many characters. */
function wrapped(words: readonly string[], width: number): string[] {
  const lines: string[] = [];
  for (const word of words) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      // `-c=FILE` is what Go's flag package also takes.
      args: args.map((arg) => (arg.startsWith('-c=') ? `--config=${arg.slice(3)}` : arg)),
      allowPositionals: true,
      options: {
        ...optionsOfSome,
        config: { type: 'string', short: 'c' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(errorText(error));
  }
}
