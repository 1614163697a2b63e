import { errorText } from '../util/errors.js';
import { parseArgs } from 'node:util';

export type Command =
  | { readonly name: 'run'; readonly configFile: string | undefined }
  | { readonly name: 'migrate'; readonly configFile: string | undefined; readonly all: boolean }
  | { readonly name: 'members'; readonly configFile: string | undefined }
  | { readonly name: 'help' }
  | { readonly name: 'version' };

export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export const usage = `Usage: eventgenerator [command] [-c FILE]

Reads apps' metrics from log-cache, evaluates scaling policies and tells the scaling engine to scale.

Commands:
  run        Run until SIGTERM (default)
  migrate    Create the eventgenerator's own tables in appmetrics_db; --all also creates policy_json and
             app_metric, which elsewhere belong to the rest of the autoscaler: for laptops and tests only
  members    Show who shares the apps in elastic mode: since when, and how many apps each owns

Options:
  -c, --config FILE   Configuration in YAML. On Cloud Foundry it is optional: the bound service with the tag
                      eventgenerator-config is read after it
  --all               With migrate: create all tables
  -h, --help          Show this help
  --version           Show the version

Exit codes: 0 after SIGTERM or a finished command, 1 for a configuration or start-up error, 2 for wrong usage.
`;

/** Throws UsageError for anything it does not know. */
export function parseCommandLine(args: readonly string[]): Command {
  const { values, positionals } = parse(args);
  if (values.help) return { name: 'help' };
  if (values.version) return { name: 'version' };
  const [command = 'run', ...rest] = positionals;
  if (rest.length > 0) throw new UsageError(`unexpected argument '${rest[0]}'`);
  if (values.all && command !== 'migrate') throw new UsageError('--all goes with migrate only');
  switch (command) {
    case 'run':
      return { name: 'run', configFile: values.config };
    case 'migrate':
      return { name: 'migrate', configFile: values.config, all: values.all ?? false };
    case 'members':
      return { name: 'members', configFile: values.config };
    default:
      throw new UsageError(`unknown command '${command}'`);
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      // `-c=FILE` is what Go's flag package also takes.
      args: args.map((arg) => (arg.startsWith('-c=') ? `--config=${arg.slice(3)}` : arg)),
      allowPositionals: true,
      options: {
        config: { type: 'string', short: 'c' },
        all: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
        version: { type: 'boolean' },
      },
    });
  } catch (error) {
    throw new UsageError(errorText(error));
  }
}
