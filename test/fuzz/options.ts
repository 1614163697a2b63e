import { parseArgs } from 'node:util';

export interface FuzzOptions {
  /** For each endpoint. */
  readonly requests: number;
  readonly seed: number;
  readonly json: boolean;
}

/** A command line that makes no sense; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The options, or 'help'. Throws UsageError. */
export function parseOptions(args: readonly string[], randomSeed: number): FuzzOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  return {
    requests: wholeNumber('requests', values.requests ?? '10000', 1),
    seed: wholeNumber('seed', values.seed ?? String(randomSeed), 0),
    json: values.json ?? false,
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        requests: { type: 'string' },
        seed: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${reason ?? ''} (--help lists the options)`, { cause: error });
  }
}

function wholeNumber(name: string, text: string, least: number): number {
  const number = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(number) || number < least) {
    throw new UsageError(`--${name} must be a whole number from ${least} on, not "${text}"`);
  }
  return number;
}
