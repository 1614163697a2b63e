import { expect, test } from '@jest/globals';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { sendJson } from '../tls/https-server.js';
import { ccError, clientScene, expiryNs, scaled, trigger } from './client-scene.js';

const scene = clientScene();

test('a trigger is posted as the scaling engine reads it, with its threshold exact', async () => {
  let seen = '';
  scene.handle = (request, response, body) => {
    seen = `${request.method} ${request.url} ${request.headers['content-type']} ${body}`;
    sendJson(response, 200, scaled);
  };
  await scene.client.post({ ...trigger, threshold: -9223372036854775807n });
  expect(seen).toBe(
    'POST /v1/apps/an-app/scale application/json {"app_id":"an-app","metric_type":"cpu","metric_unit":"%","breach_duration_secs":120,"threshold":-9223372036854775807,"operator":">","cool_down_secs":300,"adjustment":"+1"}',
  );
});

test.each([
  ['', '/v1/apps/an-app/scale'],
  ['/', '/v1/apps/an-app/scale'],
  ['/prefix', '/prefix/v1/apps/an-app/scale'],
  ['/prefix/', '/prefix/v1/apps/an-app/scale'],
])('the base URL may end in "%s"', async (path, expected) => {
  await scene.client.close();
  scene.client = scene.create(scene.engine.url + path);
  let seen: string | undefined;
  scene.handle = (request, response) => {
    seen = request.url;
    sendJson(response, 200, scaled);
  };
  await scene.client.post(trigger);
  expect(seen).toBe(expected);
});

test('an app id is percent-encoded, and one that would change the path is not posted', async () => {
  const paths: (string | undefined)[] = [];
  scene.handle = (request, response) => {
    paths.push(request.url);
    sendJson(response, 200, scaled);
  };
  await scene.client.post({ ...trigger, app_id: 'a/../b?c#d é%' });
  expect(paths).toEqual(['/v1/apps/a%2F..%2Fb%3Fc%23d%20%C3%A9%25/scale']);
  for (const app_id of ['', '.', '..', '\ud800']) {
    expect(await scene.client.post({ ...trigger, app_id })).toMatchObject({
      kind: 'failed',
      fault: 'rejected',
    });
  }
  expect(paths).toHaveLength(1);
});

test.each<[string, string, TriggerResult]>([
  ['scaled', scaled, { kind: 'scaled', adjustment: 1, coolDownUntilMs: 1_755_700_300_124 }],
  [
    'scaled without a cool-down',
    '{"app_id":"a","status":0,"adjustment":-2,"cool_down_expired_at":0}',
    { kind: 'scaled', adjustment: -2, coolDownUntilMs: null },
  ],
  [
    'in a cool-down',
    `{"app_id":"a","status":2,"adjustment":0,"cool_down_expired_at":${expiryNs}}`,
    { kind: 'cooling-down', coolDownUntilMs: 1_755_700_300_124 },
  ],
  [
    'at its limit, or not started',
    '{"app_id":"a","status":2,"adjustment":0,"cool_down_expired_at":0}',
    { kind: 'ignored' },
  ],
])('200, %s', async (_case, body, result) => {
  expect(await scene.answer(200, body)).toEqual(result);
});

test.each([
  '',
  'OK',
  '[]',
  'null',
  '{}',
  '{"status":1,"adjustment":0,"cool_down_expired_at":0}',
  '{"status":"0","adjustment":0,"cool_down_expired_at":0}',
  '{"status":0,"adjustment":1.5,"cool_down_expired_at":0}',
  '{"status":2,"adjustment":0,"cool_down_expired_at":1e30}',
  '{"status":2,"adjustment":0,"cool_down_expired_at":99999999999999999999}',
  '['.repeat(50_000),
  `"${'x'.repeat(100_000)}"`,
])('200 with another body (%#) is a bad answer', async (body) => {
  const result = await scene.answer(200, body);
  expect(result).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(JSON.stringify(result)).toContain('check scaling_engine_url');
  expect(JSON.stringify(result).length).toBeLessThan(600);
});

test.each<[number, string, string, string]>([
  [
    400,
    '{"code":"Bad-Request","message":"Incorrect trigger in request body"}',
    'rejected',
    'Bad-Request: Incorr',
  ],
  [404, ccError, 'rejected', 'Error taking scaling action: {'],
  [422, ccError, 'rejected', '422'],
  [401, 'Unauthorized\n', 'unavailable', '401 (Unauthorized)'],
  [403, '', 'unavailable', 'answered 403'],
  [408, '', 'unavailable', '408'],
  [429, '', 'unavailable', '429'],
  [401, ccError, 'unavailable', '401 (Error on request to the cloud-controller'],
  [403, ccError, 'unavailable', '403'],
  [408, ccError, 'unavailable', '408'],
  [429, ccError, 'unavailable', '429'],
  [499, ccError, 'rejected', '499'],
  [500, '{"code":"Internal-server-error","message":"Error taking scaling action"}', 'unavailable', '500'],
  [502, '<html>', 'unavailable', '502 (<html>)'],
  [503, 'x'.repeat(200_000), 'unavailable', '503'],
  [404, 'x'.repeat(200_000), 'unavailable', '404'],
  [204, '', 'bad-answer', '204'],
  [307, '', 'bad-answer', '307'],
])('%i %s', async (status, body, fault, message) => {
  const result = await scene.answer(status, body);
  expect(result).toMatchObject({ kind: 'failed', fault });
  expect(result.kind === 'failed' && result.message).toContain(message);
});

test.each([
  [404, "404 Not Found: Requested route ('scalingengine.example.com') does not exist.\n"],
  [404, '404 page not found\n'],
  [400, '400 Bad Request: Missing Host header\n'],
  [404, '<html>Not found</html>'],
  [410, ''],
  [404, '{"errors":[]}'],
])('a router that lost the engine (%i %j) is an outage, not the app’s fault', async (status, body) => {
  scene.handle = (_request, response) =>
    response.writeHead(status, { 'x-cf-routererror': 'unknown_route' }).end(body);
  expect(await scene.client.post(trigger)).toMatchObject({
    kind: 'failed',
    fault: 'unavailable',
    message: expect.stringMatching(new RegExp(`answered ${status}.* no answer of a scaling engine: check`)),
  });
});

test.each([301, 302, 303, 307, 308])('a redirect (%i) is not followed', async (status) => {
  const paths: (string | undefined)[] = [];
  scene.handle = (request, response) => {
    paths.push(request.url);
    if (request.url === '/elsewhere') sendJson(response, 200, scaled);
    else response.writeHead(status, { location: `${scene.engine.url}/elsewhere` }).end();
  };
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(paths).toEqual(['/v1/apps/an-app/scale']);
});

test.each([
  [200, 'bad-answer', 'far too large a body'],
  [503, 'unavailable', 'answered 503'],
])('a response (%i) beyond 64 kB is not read to its end', async (status, fault, message) => {
  scene.handle = (_request, response) => {
    response.writeHead(status);
    const endless = () => void (response.destroyed || response.write('x'.repeat(10_000), endless));
    endless();
  };
  const result = await scene.client.post(trigger);
  expect(result).toMatchObject({ kind: 'failed', fault });
  expect(result.kind === 'failed' && result.message).toContain(message);
});

test.each([
  [200, 'gzip', gzipSync(scaled)],
  [500, 'gzip', gzipSync(ccError)],
  [404, 'GZIP', Buffer.from('no gzip at all')],
  [422, 'br', brotliCompressSync(ccError)],
  [200, 'x'.repeat(5000), Buffer.from(scaled)],
])('an answer (%i) in an encoding that was not asked for is a bad answer', async (status, encoding, body) => {
  let asked: unknown;
  scene.handle = (request, response) => {
    asked = request.headers['accept-encoding'];
    response.writeHead(status, { 'content-encoding': encoding }).end(body);
  };
  const result = await scene.client.post(trigger);
  expect(asked).toBe('identity');
  expect(result).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
  expect(result.kind === 'failed' && result.message).toContain(`answered ${status} in the encoding "`);
  expect(JSON.stringify(result).length).toBeLessThan(300);
});

test('an encoding that is none, or of no body, is no trouble', async () => {
  scene.handle = (_request, response) =>
    response.writeHead(200, { 'content-encoding': 'Identity' }).end(scaled);
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'scaled' });
  scene.handle = (_request, response) => response.writeHead(503, { 'content-encoding': 'gzip' }).end();
  expect(await scene.client.post(trigger)).toMatchObject({ fault: 'unavailable' });
});

test('a body that is nested very deeply is a bad answer', async () => {
  for (const body of ['['.repeat(60_000), '{"a":'.repeat(12_000), '['.repeat(30_000) + ']'.repeat(30_000)]) {
    expect(await scene.answer(200, body)).toMatchObject({ kind: 'failed', fault: 'bad-answer' });
    expect(await scene.answer(404, body)).toMatchObject({ kind: 'failed', fault: 'unavailable' });
  }
});
