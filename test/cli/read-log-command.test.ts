import { expect, test } from '@jest/globals';
import { PassThrough, Readable, Writable } from 'node:stream';
import { readLogCommand } from '../../src/cli/read-log-command.js';

const line = JSON.stringify({
  timestamp: '2026-01-02T12:00:00.250000000Z',
  level: 'info',
  source: 'eventgenerator',
  message: 'eventgenerator.evaluation.scaled',
  data: { appId: 'a' },
});

test('the log is read line by line, also as `cf logs` gives it', async () => {
  const output = new PassThrough();
  const input = Readable.from([
    `${line}\nno json\n`,
    `   2026-01-02T12:00:00.30+0000 [APP/PROC/WEB/1] OUT ${line}\r\n`,
  ]);
  expect(await readLogCommand(input, output)).toBe(0);
  const read = '12:00:00 info  evaluation.scaled appId="a"';
  expect(String(output.read())).toBe(`${read}\nno json\n[APP/PROC/WEB/1] ${read}\n`);
});

test('a reader that has seen enough ends it', async () => {
  const output = new Writable({ write: (_chunk, _encoding, done) => done(new Error('EPIPE')) });
  expect(await readLogCommand(Readable.from([`${line}\n`, `${line}\n`]), output)).toBe(0);
});
