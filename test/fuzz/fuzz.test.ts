import { afterAll, expect, test } from '@jest/globals';
import { silentLogger } from '../support/silent-logger.js';
import { createReleasers } from '../../src/util/releasers.js';
import { Random } from '../chaos/random.js';
import { parseAnswers } from './answers.js';
import { readApiDocument } from './document.js';
import { parseOptions, UsageError } from './options.js';
import { generateRequest } from './requests.js';
import { runFuzz } from './run.js';

const releasers = createReleasers(silentLogger);
afterAll(() => releasers.releaseAll());

test('some hundred odd requests find nothing', async () => {
  const report = await runFuzz({ requests: 40, seed: 11, json: true }, releasers, () => {});
  expect(report.findings).toEqual([]);
  expect(report.requests).toBe(520);
  // It is of use only where it gets behind the doors, and is refused there in many ways.
  for (const status of [200, 400, 401, 404, 405]) expect(report.statuses[status]).toBeGreaterThan(5);
});

test('foreign, undocumented and broken answers are found', async () => {
  const { judge } = await readApiDocument();
  const json = (status: number, value: unknown) =>
    judge({ status, mediaType: 'application/json', body: JSON.stringify(value) });
  expect(json(404, { code: 'Not-Found', message: 'There is nothing at this path' })).toBeNull();
  expect(
    json(404, { message: 'Route LINK:/x not found', error: 'Not Found', statusCode: 404 }),
  ).not.toBeNull();
  expect(json(500, { code: 'Internal-Server-Error', message: 'Internal server error' })).toBe(
    'an internal error',
  );
  expect(json(200, [{ app_id: 'a' }])).not.toBeNull();
  expect(judge({ status: 400, mediaType: '', body: '' })).not.toBeNull();
  expect(() => parseAnswers(Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{}'), false)).toThrow(
    'cut off',
  );
});

test('the same seed sends the same, another seed other requests', async () => {
  const { endpoints } = await readApiDocument();
  const requests = (seed: number) =>
    Array.from({ length: 50 }, (_, i) =>
      endpoints.map((endpoint) =>
        generateRequest(endpoint, new Random(seed).fork(i), { xfcc: 'x', authorization: 'y' }).bytes.toString(
          'latin1',
        ),
      ),
    );
  expect(requests(1)).toEqual(requests(1));
  expect(requests(1)).not.toEqual(requests(2));
});

test('options', () => {
  expect(parseOptions([], 5)).toEqual({ requests: 10_000, seed: 5, json: false });
  expect(parseOptions(['--requests', '7', '--seed', '0', '--json'], 5)).toEqual({
    requests: 7,
    seed: 0,
    json: true,
  });
  expect(parseOptions(['-h'], 5)).toBe('help');
  expect(() => parseOptions(['--requests', '0'], 5)).toThrow(UsageError);
  expect(() => parseOptions(['--speed'], 5)).toThrow(UsageError);
});
