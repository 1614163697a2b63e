import { createInterface } from 'node:readline';
import { readableLogLine } from './readable-log-line.js';

/** `… | eventgenerator read-log`: the log for people, line by line, from stdin. */
export async function readLogCommand(
  input: NodeJS.ReadableStream = process.stdin,
  output: NodeJS.WritableStream = process.stdout,
): Promise<number> {
  for await (const line of createInterface({ input, crlfDelay: Infinity })) {
    output.write(`${withoutPrefix(line)}\n`);
  }
  return 0;
}

/** `cf logs` puts its own time, the process and the stream before each line. */
const cfPrefix = /^\s*\d{4}-\d{2}-\d{2}T\S+ \[([^\]]+)\] (?:OUT|ERR) (.*)$/;

function withoutPrefix(line: string): string {
  const [, source, text] = cfPrefix.exec(line) ?? [];
  return text === undefined ? readableLogLine(line) : `[${source}] ${readableLogLine(text)}`;
}
