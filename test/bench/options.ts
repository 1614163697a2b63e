import { parseArgs } from 'node:util';
import type { Transport } from '../platform/eventgenerator-config.js';

export interface BenchOptions {
  /** Empty: all. */
  readonly names: readonly string[];
  readonly json: boolean;
  readonly quick: boolean;
  /** How the benchmarks collection and scale read log-cache. */
  readonly transport: Transport;
}

/** A command line that makes no sense; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** The options, or 'help'. Throws UsageError. */
export function parseOptions(args: readonly string[], known: readonly string[]): BenchOptions | 'help' {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        json: { type: 'boolean' },
        quick: { type: 'boolean' },
        transport: { type: 'string', default: 'rest' },
        help: { type: 'boolean', short: 'h' },
      },
    });
    if (values.help) return 'help';
    const unknown = positionals.find((name) => !known.includes(name));
    if (unknown !== undefined) throw new Error(`no benchmark is called "${unknown}": ${known.join(', ')}`);
    const { transport } = values;
    if (transport !== 'rest' && transport !== 'grpc') throw new Error('--transport knows rest, grpc');
    return { names: positionals, json: values.json ?? false, quick: values.quick ?? false, transport };
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${reason ?? ''} (--help says more)`, { cause: error });
  }
}
