import { parseArgs } from 'node:util';
import { controlHelp } from './control-server.js';
import type { Transport } from './eventgenerator-config.js';
import { storyMetrics, storyNames, type StoryMetric, type StoryName } from './stories.js';

/** A command line that makes no sense; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

interface NumberOption {
  readonly value: number;
  readonly min: number;
  readonly max: number;
  /** Whole numbers only, unless this is set. */
  readonly fraction?: boolean;
  readonly help: string;
}

const day = 86_400;

const numbers = {
  apps: { value: 7, min: 1, max: 100_000, help: 'number of apps with a policy' },
  instances: { value: 2, min: 1, max: 1000, help: 'instances of every app at the beginning' },
  seed: { value: 1, min: 0, max: 2 ** 31, help: 'equal seeds give equal apps, guids and metrics' },
  pace: { value: 60, min: 0.1, max: day, fraction: true, help: 'seconds between two turns of a story' },
  tick: { value: 15, min: 0.1, max: 3600, fraction: true, help: 'seconds between two container metrics' },
  'breach-duration': { value: 120, min: 1, max: 3600, help: "seconds, in the policies' rules" },
  'cool-down': { value: 300, min: 1, max: 3600, help: "seconds, in the policies' rules" },
  'token-lifetime': { value: 43_200, min: 1, max: 10 * day, help: 'seconds' },
  'collection-interval': { value: 40, min: 1, max: 3600, help: 'seconds, for the configuration written' },
  'evaluation-interval': { value: 40, min: 1, max: 3600, help: 'seconds, likewise' },
  'save-interval': { value: 5, min: 1, max: 3600, help: 'seconds, likewise' },
  'policy-interval': {
    value: 40,
    min: 1,
    max: 3600,
    help: 'seconds, likewise: time between reads of the policies',
  },
  'stat-window': { value: 120, min: 60, max: 3600, help: 'seconds, likewise' },
  'metric-pollers': { value: 20, min: 1, max: 1000, help: 'metric_poller_count, likewise' },
  'api-port': { value: 0, min: 0, max: 65_535, help: "the eventgenerator's API; 0: a free one" },
  'health-port': {
    value: 0,
    min: 0,
    max: 65_535,
    help: "the eventgenerator's health endpoint; 0: a free one",
  },
  'cf-port': { value: 0, min: 0, max: 65_535, help: "the eventgenerator's CF server; 0: a free one" },
  'uaa-port': { value: 0, min: 0, max: 65_535, help: '0: a free one' },
  'log-cache-port': { value: 0, min: 0, max: 65_535, help: '0: a free one' },
  'log-cache-grpc-port': { value: 0, min: 0, max: 65_535, help: '0: a free one' },
  'scaling-engine-port': { value: 0, min: 0, max: 65_535, help: '0: a free one' },
  'control-port': { value: 0, min: 0, max: 65_535, help: 'books and faults; 0: a free one' },
  'max-per-source': {
    value: 100_000,
    min: 1,
    max: 10_000_000,
    help: 'envelopes of a source that log-cache keeps',
  },
  'log-cache-nodes': { value: 1, min: 1, max: 100, help: "machines that share log-cache's sources" },
  'print-books': {
    value: 0,
    min: 0,
    max: day,
    help: 'seconds between two printed books; 0: only at the end',
  },
} as const satisfies Readonly<Record<string, NumberOption>>;

type NumberName = keyof typeof numbers;

export interface PlatformCommand {
  readonly numbers: Readonly<Record<NumberName, number>>;
  readonly stories: readonly StoryName[];
  readonly metrics: readonly StoryMetric[];
  /** How the eventgenerator asks log-cache. */
  readonly transport: Transport;
  readonly grant: 'client_credentials' | 'password';
  /** Absent: no configuration is written. */
  readonly configFile: string | undefined;
  readonly keepFiles: boolean;
}

const defaultMetrics = 'cpu,memoryutil,throughput';
const transports = ['rest', 'grpc'] as const;
const grants = ['client_credentials', 'password'] as const;

/** The command, or 'help'. Throws UsageError. */
export function parseCommand(args: readonly string[]): PlatformCommand | 'help' {
  const texts = parse(args);
  if (texts['help']) return 'help';
  const text = (name: string, otherwise: string) => {
    const value = texts[name];
    return typeof value === 'string' ? value : otherwise;
  };
  const grant = text('grant', 'client_credentials');
  const configFile = text('write-config', '');
  if (texts['write-config'] !== undefined && configFile === '') {
    throw new UsageError('--write-config needs the name of a file');
  }
  return {
    numbers: Object.fromEntries(
      Object.entries(numbers).map(([name, option]) => [name, numberIn(name, option, text(name, ''))]),
    ) as Record<NumberName, number>,
    stories: listIn('stories', text('stories', storyNames.join(',')), storyNames),
    metrics: listIn('metrics', text('metrics', defaultMetrics), storyMetrics),
    transport: oneOf('transport', text('transport', 'rest'), transports),
    grant: oneOf('grant', grant, grants),
    configFile: configFile === '' ? undefined : configFile,
    keepFiles: texts['keep-files'] === true,
  };
}

function parse(args: readonly string[]): Record<string, string | boolean | undefined> {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        ...Object.fromEntries(Object.keys(numbers).map((name) => [name, text])),
        stories: text,
        metrics: text,
        transport: text,
        grant: text,
        'write-config': text,
        'keep-files': flag,
        help: { ...flag, short: 'h' },
      },
    });
    return values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${reason ?? ''} (--help lists the options)`, { cause: error });
  }
}

function numberIn(name: string, option: NumberOption, text: string): number {
  if (text === '') return option.value;
  const value = Number(text);
  const good = text.trim() !== '' && value >= option.min && value <= option.max;
  if (!good || (!option.fraction && !Number.isInteger(value))) {
    const kind = option.fraction ? 'a number' : 'a whole number';
    throw new UsageError(`--${name} must be ${kind} from ${option.min} to ${option.max}, not "${text}"`);
  }
  return value;
}

function listIn<T extends string>(name: string, text: string, allowed: readonly T[]): T[] {
  return text.split(',').map((part) => oneOf(name, part.trim(), allowed));
}

function oneOf<T extends string>(name: string, text: string, allowed: readonly T[]): T {
  const found = allowed.find((candidate) => candidate === text);
  if (!found) throw new UsageError(`--${name} knows ${allowed.join(', ')}, not "${text}"`);
  return found;
}

export function helpText(): string {
  const lines = Object.entries(numbers).map(
    ([name, { value, help }]) => `  --${`${name} N`.padEnd(24)} ${help} (default ${value})`,
  );
  return `Usage: npm run platform -- [options]

A miniature Cloud Foundry on this machine: UAA, log-cache and scaling engine over HTTPS, log-cache over gRPC with
mutual TLS too, apps under load, and a PostgreSQL with their policies (an own one, or a new database on the server that
DATABASE_URL names). It prints one JSON line when it is ready, its books as JSON at the end, and runs until SIGINT or SIGTERM.

  --write-config FILE        writes an eventgenerator's configuration for it, to be used with -c FILE, and the
                             certificates into FILE.certificates; both are removed at the end
  --keep-files               leaves them
  --transport TRANSPORT      ${transports.join(' or ')} (default ${transports[0]}), how the configuration written lets log-cache be asked:
                             over HTTPS with a token of UAA, or over gRPC with a client certificate and without UAA
  --grant GRANT              ${grants.join(' or ')} (default ${grants[0]}), likewise; over gRPC
                             it means nothing
  --stories A,B,...          told by the apps in turn: ${storyNames.join(', ')} (default: all)
  --metrics A,B,...          metric types of the rules, in order: ${storyMetrics.join(', ')}
                             (default ${defaultMetrics})
${lines.join('\n')}
  --help                     says this

While it runs, the control URL of the ready line answers:
${controlHelp}
`;
}
