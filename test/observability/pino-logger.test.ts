import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';
import type { LogLevel } from '../../src/config/config.js';
import { createLogger } from '../../src/observability/pino-logger.js';

const run = promisify(execFile);
const clock = { now: () => Date.parse('2026-08-01T12:00:00.123Z') };

function loggerInto(lines: string[], level: LogLevel = 'info') {
  return createLogger({ level, clock, destination: { write: (line: string) => void lines.push(line) } });
}

function parse(line: string | undefined): { message: string; level: string; data: Record<string, unknown> } {
  return JSON.parse(line ?? 'null') as never;
}

test('a line is one JSON object in the format of the Go components', () => {
  const lines: string[] = [];
  loggerInto(lines).info('started');
  expect(lines).toEqual([
    '{"timestamp":"2026-08-01T12:00:00.123000000Z","level":"info","source":"eventgenerator","message":"eventgenerator.started","data":{}}\n',
  ]);
});

test('components stand between source and event', () => {
  const lines: string[] = [];
  loggerInto(lines).child('http').child('api').info('listening', { port: 8080 });
  expect(parse(lines[0])).toMatchObject({
    message: 'eventgenerator.http.api.listening',
    data: { port: 8080 },
  });
});

test.each<[LogLevel, string[]]>([
  ['debug', ['debug', 'info', 'error']],
  ['info', ['info', 'error']],
  ['error', ['error']],
  ['fatal', []],
])('the configured level %s is honoured', (level, expected) => {
  const lines: string[] = [];
  const logger = loggerInto(lines, level);
  logger.debug('a');
  logger.info('b');
  logger.error('c', new Error('broken'));
  expect(lines.map((line) => parse(line).level)).toEqual(expected);
});

test('an error is described by message and code; its stack appears at debug level only', () => {
  const error = Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' });
  const lines: string[] = [];
  loggerInto(lines).error('failed', error, { tries: 2 });
  loggerInto(lines, 'debug').error('failed', error);
  expect(parse(lines[0]).data).toEqual({ tries: 2, error: 'no answer (ETIMEDOUT)' });
  expect(parse(lines[1]).data).toMatchObject({
    error: 'no answer (ETIMEDOUT)',
    trace: expect.stringContaining('pino-logger.test') as unknown,
  });
});

test('secrets are redacted at the sink, in data, errors and stacks', () => {
  const lines: string[] = [];
  const cause = new Error('GET https://u:hunter2@uaa/ with Bearer hunter2abcdef012345');
  const logger = loggerInto(lines, 'debug');
  logger.error('failed', new Error('login with password=hunter2', { cause }), { client_secret: 'hunter2' });
  logger.info('configured', { url: 'postgres://u:hunter2@db/x', nested: [{ password: 'hunter2' }] });
  expect(lines).toHaveLength(2);
  expect(lines.join('')).not.toContain('hunter2');
});

test('a new line or quote in data cannot forge a second line', () => {
  const lines: string[] = [];
  loggerInto(lines).info('odd', { text: 'a\n{"level":"error"}\u2028"' });
  expect(lines[0]?.trimEnd()).not.toContain('\n');
  expect(parse(lines[0]).data['text']).toBe('a\n{"level":"error"}\u2028"');
});

test('nothing that is logged, and no destination, makes a call throw', () => {
  const failing = createLogger({
    level: 'debug',
    destination: {
      write: () => {
        throw new Error('disk full');
      },
    },
  });
  const hostile = Object.defineProperty({}, 'x', {
    enumerable: true,
    get: () => {
      throw new Error('no');
    },
  });
  for (const logger of [failing, loggerInto([], 'debug')]) {
    expect(() => {
      logger.debug('a', hostile);
      logger.info('b', { list: [1n, Symbol('x'), hostile] });
      logger.error('c', hostile, hostile);
      logger.error('d', null);
    }).not.toThrow();
  }
});

const loggerModule = new URL('../../src/observability/pino-logger.js', import.meta.url).href;

/** Runs a script in a process of its own, because the end of the process is what is tested. */
function runScript(script: string, command = 'node --input-type=module -e "$SCRIPT"') {
  return run('sh', ['-c', command], {
    env: {
      ...process.env,
      NODE_OPTIONS: '',
      SCRIPT: `const { createLogger } = await import('${loggerModule}'); ${script}`,
    },
    maxBuffer: 64 * 1024 * 1024,
    timeout: 15_000,
  });
}

test('the last lines before an exit are not lost, however many', async () => {
  const { stdout } = await runScript(
    `const logger = createLogger({ level: 'info' });
     for (let i = 0; i < 5000; i++) logger.info('line', { i, text: 'x'.repeat(100) });
     process.exit(3);`,
    'node --input-type=module -e "$SCRIPT"; echo "code $?"',
  );
  const lines = stdout.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('code 3');
  expect(lines.slice(0, -1).map((line) => parse(line).data['i'])).toEqual(
    Array.from({ length: 5000 }, (_, i) => i),
  );
});

test('a closed standard output does not end the process', async () => {
  const { stderr } = await runScript(
    `const logger = createLogger({ level: 'info' });
     for (let i = 0; i < 50; i++) { logger.info('line', { i }); await new Promise(setImmediate); }
     await new Promise((resolve) => setTimeout(resolve, 50));
     for (let i = 0; i < 50; i++) logger.info('line', { i });
     process.stderr.write('still alive');`,
    'node --input-type=module -e "$SCRIPT" | true',
  );
  expect(stderr).toBe('still alive');
});

test('closing waits for the last lines, so that nothing has to be waited for at the exit', async () => {
  const { stdout } = await runScript(
    `const logger = createLogger({ level: 'info' });
     for (let i = 0; i < 5000; i++) logger.info('line', { i, text: 'x'.repeat(100) });
     await logger.close();
     process.removeAllListeners('exit');
     process.exit(0);`,
    'node --input-type=module -e "$SCRIPT"',
  );
  expect(stdout.trimEnd().split('\n')).toHaveLength(5000);
});
