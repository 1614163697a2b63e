import { parseArgs } from 'node:util';

export interface ChaosOptions {
  /** How long faults go on; starting, the calm at the end and the audit come on top. */
  readonly minutes: number;
  readonly seed: number;
  readonly members: number;
  readonly apps: number;
  readonly intervalSecs: number;
  /** Names of faults, or their beginnings; empty: all. */
  readonly faults: readonly string[];
  /** How many faults overlap at most. */
  readonly atOnce: number;
  /** Faults and the calm at the end are short: for seeing that a run works at all. */
  readonly quick: boolean;
  readonly json: boolean;
  /** A folder for the members' logs; undefined: they are not kept. */
  readonly logs: string | undefined;
}

/** A command line that makes no sense; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const numbers = {
  minutes: { preset: 20, least: 0.01, whole: false },
  members: { preset: 3, least: 1, whole: true },
  apps: { preset: 500, least: 1, whole: true },
  interval: { preset: 10, least: 1, whole: true },
  'at-once': { preset: 3, least: 1, whole: true },
  seed: { preset: NaN, least: 0, whole: true },
} as const;

/** The options, or 'help'. Throws UsageError. */
export function parseOptions(args: readonly string[], randomSeed: number): ChaosOptions | 'help' {
  const { values } = parse(args);
  if (values.help) return 'help';
  const number = (name: keyof typeof numbers): number => {
    const { preset, least, whole } = numbers[name];
    const value = values[name] === undefined ? preset : Number(values[name]);
    if (Number.isNaN(value) && values[name] === undefined) return randomSeed;
    if (!(value >= least) || (whole && !Number.isSafeInteger(value))) {
      throw new UsageError(`--${name} must be a ${whole ? 'whole ' : ''}number from ${least} on`);
    }
    return value;
  };
  return {
    minutes: number('minutes'),
    seed: number('seed'),
    members: number('members'),
    apps: number('apps'),
    intervalSecs: number('interval'),
    atOnce: number('at-once'),
    faults: values.faults?.split(',').filter(Boolean) ?? [],
    quick: values.quick ?? false,
    json: values.json ?? false,
    logs: values.logs,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        minutes: { type: 'string' },
        seed: { type: 'string' },
        members: { type: 'string' },
        apps: { type: 'string' },
        interval: { type: 'string' },
        'at-once': { type: 'string' },
        faults: { type: 'string' },
        logs: { type: 'string' },
        quick: { type: 'boolean' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${reason ?? ''} (--help says more)`, { cause: error });
  }
}
