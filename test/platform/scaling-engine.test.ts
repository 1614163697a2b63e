import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { IssuedCertificate } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import { ask, type ClientAnswer } from './client.js';
import { constantLoad } from './load-script.js';
import { startPlatform, type Platform } from './platform.js';
import { adjust } from './scaling-engine.js';

const clock = new ManualClock();
let platform: Platform;
let client: IssuedCertificate;
let count = 0;
let app: string;

beforeAll(async () => {
  platform = await startPlatform({ clock, apps: [], defaultCoolDownSecs: 300 });
  client = await platform.issueCertificate('eventgenerator');
});
beforeEach(() => {
  app = `app-${++count}`;
  platform.apps.add({ guid: app, load: constantLoad({}), instances: 2, minInstances: 1, maxInstances: 4 });
});
afterAll(() => platform.stop());

const trigger = {
  app_id: 'another',
  metric_type: 'cpu',
  metric_unit: '%',
  breach_duration_secs: 120,
  threshold: 80,
  operator: '>',
  cool_down_secs: 60,
  adjustment: '+1',
};

function post(body: object | string, guid = app): Promise<ClientAnswer> {
  return ask(`${platform.urls.scalingEngine}/v1/apps/${guid}/scale`, {
    ca: platform.ca,
    cert: client.chain,
    key: client.key,
    method: 'POST',
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
}

test('only clients with a certificate of the platform are served', async () => {
  const url = `${platform.urls.scalingEngine}/v1/apps/${app}/scale`;
  await expect(ask(url, { ca: platform.ca, method: 'POST', body: '{}' })).rejects.toThrow();
  expect(platform.books.triggersOf(app)).toEqual([]);
});

test('scales the app of the path and starts a cool-down, whose end is a number of ns', async () => {
  const { status, body } = await post(trigger);
  const end = `${clock.now() + 60_000}456789`;
  expect([status, body]).toEqual([
    200,
    `{"app_id":"${app}","status":0,"adjustment":1,"cool_down_expired_at":${end}}`,
  ]);
  expect(platform.apps.require(app).instances).toBe(3);
  expect(platform.books.triggersOf(app)).toEqual([
    {
      atMs: clock.now(),
      receivedMs: clock.now(),
      result: 'scaled',
      metricType: 'cpu',
      metricUnit: '%',
      operator: '>',
      threshold: '80',
      breachDurationSecs: '120',
      coolDownSecs: '60',
      adjustment: '+1',
      before: 2,
      after: 3,
    },
  ]);
});

test('tells when a trigger came that a fault held up, apart from when it was decided on', async () => {
  const cameMs = clock.now();
  const slow = platform.faults.set({
    server: 'scalingEngine',
    operation: 'scale',
    fault: { kind: 'delay', ms: 8_000 },
  });
  const posted = post(trigger);
  await clock.timersPending();
  await clock.advance(8_000);
  await posted;
  slow.lift();
  expect(platform.books.triggersOf(app)).toMatchObject([{ receivedMs: cameMs, atMs: cameMs + 8_000 }]);
});

test('during the cool-down triggers are ignored and told its end; afterwards the app is scaled again', async () => {
  const first = JSON.parse((await post(trigger)).body) as { cool_down_expired_at: number };
  expect(JSON.parse((await post(trigger)).body)).toMatchObject({
    status: 2,
    adjustment: 0,
    cool_down_expired_at: first.cool_down_expired_at,
  });
  await clock.advance(60_000);
  expect(JSON.parse((await post(trigger)).body)).toMatchObject({ status: 0, adjustment: 1 });
});

test('without a cool-down in the trigger the default applies', async () => {
  expect((await post({ ...trigger, cool_down_secs: undefined })).body).toContain(
    `"cool_down_expired_at":${clock.now() + 300_000}456789`,
  );
});

test('at its limit the answer is ignored without a cool-down; beyond it the adjustment is cut', async () => {
  expect(JSON.parse((await post({ ...trigger, adjustment: '+9' })).body)).toMatchObject({ adjustment: 2 });
  platform.scalingEngine.endCoolDown(app);
  expect(JSON.parse((await post(trigger)).body)).toMatchObject({
    status: 2,
    adjustment: 0,
    cool_down_expired_at: 0,
  });
  expect(platform.books.triggersOf(app).map(({ result }) => result)).toEqual(['scaled', 'ignored']);
});

test('a stopped app and one with autoscaling disabled are ignored', async () => {
  platform.apps.require(app).state = 'STOPPED';
  expect(JSON.parse((await post(trigger)).body)).toMatchObject({ status: 2, cool_down_expired_at: 0 });
  platform.apps.require(app).state = 'STARTED';
  platform.apps.require(app).autoscalingDisabled = true;
  expect(JSON.parse((await post(trigger)).body)).toMatchObject({ status: 2, cool_down_expired_at: 0 });
});

describe('refuses', () => {
  test.each([
    'no json',
    '[]',
    '{"threshold":1.5}',
    '{"threshold":"80"}',
    '{"threshold":9223372036854775808}',
  ])('%s with 400', async (body) => {
    expect(await post(body)).toMatchObject({
      status: 400,
      body: '{"code":"Bad-Request","message":"Incorrect trigger in request body"}',
    });
  });

  test('an adjustment that is none with 500', async () => {
    expect(await post({ ...trigger, adjustment: 'more' })).toMatchObject({
      status: 500,
      body: '{"code":"Internal-server-error","message":"Error taking scaling action"}',
    });
  });

  test('an unknown app with the status of Cloud Controller', async () => {
    const { status, body } = await post(trigger, 'nobody');
    expect(status).toBe(404);
    const { code, message } = JSON.parse(body) as { code: string; message: string };
    expect(code).toBe('Error on request to the cloud-controller via a cf-client');
    expect(message).toContain('"StatusCode":404');
  });
});

test('thresholds keep all digits of int64', async () => {
  await post(JSON.stringify(trigger).replace('"threshold":80', '"threshold":-9223372036854775807'));
  expect(platform.books.triggersOf(app)[0]?.threshold).toBe('-9223372036854775807');
});

test.each([
  [4, '+1', 5],
  [4, '-2', 2],
  [4, '+50%', 6],
  [3, '+50%', 5],
  [3, '-50%', 2],
  [2, '+10%', 3],
  [2, '-10%', 1],
  [2, 'x', undefined],
])('%i adjusted by %s is %s', (current, adjustment, adjusted) => {
  expect(adjust(current, adjustment)).toBe(adjusted);
});
