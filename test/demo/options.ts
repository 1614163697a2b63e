import { parseArgs } from 'node:util';

/** A command line that makes no sense; the message is for the user. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface DemoOptions {
  readonly json: boolean;
  readonly keep: boolean;
  readonly timeoutSecs: number;
  readonly breachDurationSecs: number;
}

interface NumberOption {
  readonly value: number;
  readonly min: number;
  readonly max: number;
}

const timeout: NumberOption = { value: 120, min: 1, max: 3600 };
/** Below 2 s a rule's breach duration would hold a single app metric; above 10 s the demo would take minutes. */
const breachDuration: NumberOption = { value: 5, min: 2, max: 10 };

/** The options, or 'help'. Throws UsageError. */
export function parseOptions(args: readonly string[]): DemoOptions | 'help' {
  const values = parse(args);
  if (values.help) return 'help';
  return {
    json: values.json ?? false,
    keep: values.keep ?? false,
    timeoutSecs: wholeNumber('timeout', timeout, values.timeout),
    breachDurationSecs: wholeNumber('breach-duration', breachDuration, values['breach-duration']),
  };
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        json: { type: 'boolean' },
        keep: { type: 'boolean' },
        timeout: { type: 'string' },
        'breach-duration': { type: 'string' },
        help: { type: 'boolean', short: 'h' },
      },
    }).values;
  } catch (error) {
    const reason = error instanceof Error ? error.message.split('\n')[0] : String(error);
    throw new UsageError(`${reason ?? ''} (--help lists the options)`, { cause: error });
  }
}

function wholeNumber(name: string, { value, min, max }: NumberOption, text: string | undefined): number {
  if (text === undefined) return value;
  const number = Number(text);
  if (!/^\d+$/.test(text) || number < min || number > max) {
    throw new UsageError(`--${name} must be a whole number of seconds from ${min} to ${max}, not "${text}"`);
  }
  return number;
}

export const helpText = `Usage: npm run demo -- [options]

Starts a PostgreSQL (or takes a new database on the server that DATABASE_URL names), a miniature Cloud Foundry with
six apps under load, and one eventgenerator, all on this machine; shows in the terminal how the eventgenerator watches
the apps; and ends by itself when one app was scaled out and one in. Ctrl-C ends it earlier. Nothing is left behind.

  --json                     prints nothing but one JSON line at the end; use it with npm run --silent:
                             {"ok":true,"scaled_out":1,"scaled_in":1,"seconds":16.2,"apps":[...]}
  --keep                     goes on until Ctrl-C, whatever happened; the apps' stories begin anew when they are told
  --timeout SECONDS          without --keep: when to give up (default ${timeout.value})
  --breach-duration SECONDS  how long a limit must be breached before an app is scaled, from ${breachDuration.min} to ${breachDuration.max}
                             (default ${breachDuration.value}); the apps' stories go at the same pace
  -h, --help                 says this

Where standard output is no terminal, or NO_COLOR or TERM=dumb is set, a line is printed whenever something changes.

Exit codes: 0 one app was scaled out and one in, or --keep was ended; 1 that did not happen, or something failed;
2 wrong usage; 130 interrupted before.
`;
