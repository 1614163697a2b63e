import { expect, test } from '@jest/globals';
import { PassThrough, Readable } from 'node:stream';
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

test('lines of others that look alike stay as they are, and no text of a tenant moves the cursor', async () => {
  const output = new PassThrough();
  const foreign = JSON.stringify({ timestamp: 'now', level: 'info', message: 'hello' });
  const evil = JSON.stringify({
    ...(JSON.parse(line) as object),
    data: { error: 'operator \u001b[2J', metricType: 'jobs\u009b\u202e' },
  });
  expect(await readLogCommand(Readable.from([`${foreign}\n${evil}\n`]), output)).toBe(0);
  expect(String(output.read())).toBe(
    `${foreign}\n12:00:00 info  evaluation.scaled - operator ?[2J metricType="jobs??"\n`,
  );
});
