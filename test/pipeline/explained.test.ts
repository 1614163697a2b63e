import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { decisionsCommand } from '../../src/cli/decisions-command.js';
import { explainCommand } from '../../src/cli/explain-command.js';
import { ownTablesSql } from '../../src/database/migrations.js';
import { startEventgenerator, type Eventgenerator } from '../../src/eventgenerator.js';
import { silentLogger } from '../support/silent-logger.js';
import type { ListedReason } from '../../src/explanation/reason.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { fnv1a32 } from '../../src/util/hash.js';
import { ask, basic, type ClientAnswer } from '../platform/client.js';
import { constantLoad } from '../platform/load-script.js';
import { eventually } from '../support/eventually.js';
import { startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when } from './policies.js';

/*
 * Why an app is not scaled, for each usual cause: as another member tells it, which knows only what is in the databases,
 * and as the command does.
 */

const busy = constantLoad({ cpuPercent: 1_000, requestsPerSecond: 100 });
const trust = { systemBundle: '/nowhere' };

/** An id that the first of two members owns. */
function owned(name: string): string {
  for (let i = 0; ; i++) if (fnv1a32(`${name}-${i}`) % 2 === 0) return `${name}-${i}`;
}

const broken = owned('broken');
const young = owned('young');
const calm = owned('calm');
const scaled = owned('scaled');
const full = owned('full');
const uncollected = owned('uncollected');
const rejected = owned('rejected');
const halfBlind = owned('half-blind');
const ruleless = owned('ruleless');

const scaleOut = policyOf(when('cpu > 80', '+1', { cool_down_secs: 3_600 }));

let pipeline: Pipeline;
let other: Eventgenerator;
let certificate: { readonly chain: string; readonly key: string };
beforeAll(async () => {
  pipeline = await startPipeline({
    speed: 4,
    apps: [
      { guid: broken, load: busy, policy: [] },
      {
        guid: young,
        tickSecs: 1,
        load: busy,
        policy: policyOf(when('cpu > 80', '+1', { breach_duration_secs: 3_600 })),
      },
      { guid: calm, tickSecs: 1, load: constantLoad({ cpuPercent: 50 }), policy: scaleOut },
      { guid: scaled, tickSecs: 1, load: busy, policy: scaleOut },
      {
        guid: full,
        tickSecs: 1,
        load: busy,
        instances: 2,
        maxInstances: 2,
        policy: { ...scaleOut, instance_max_count: 2 },
      },
      { guid: uncollected, tickSecs: 1, load: busy, policy: scaleOut },
      { guid: rejected, tickSecs: 1, load: busy, policy: scaleOut },
      {
        guid: halfBlind,
        tickSecs: 1,
        load: busy,
        policy: policyOf(when('cpu > 10000', '+1'), when('throughput > 10000', '+1')),
      },
      { guid: ruleless, load: busy, policy: { instance_min_count: 1, instance_max_count: 2 } },
    ],
    configure: (config) => ({
      ...config,
      pool: { mode: 'static', static: { totalInstances: 2, instanceIndex: 0 } },
      health: { ...config.health, basicAuth: { username: { plain: 'op' }, password: { plain: 'secret' } } },
    }),
    async prepare({ platform, policyDb }) {
      await policyDb.pool.query(ownTablesSql('act'));
      platform.faults.set({
        server: 'logCache',
        operation: 'read',
        app: uncollected,
        fault: { kind: 'status', status: 500 },
      });
      platform.faults.set({
        server: 'scalingEngine',
        app: rejected,
        fault: { kind: 'status', status: 422, body: '{"code":"Unprocessable","message":"no such app"}' },
      });
    },
  });
  certificate = await pipeline.platform.issueCertificate('api-server');
  const config = {
    ...pipeline.config,
    pool: { mode: 'static', static: { totalInstances: 2, instanceIndex: 1 } },
    instance: { guid: 'other', index: 1 },
  } as const;
  const context = { clock: pipeline.clock, logger: silentLogger, metrics: createMetrics(), trust };
  other = await startEventgenerator(config, context);
});
afterEach(() => {
  jest.restoreAllMocks();
});
afterAll(async () => {
  await other?.stop();
  await stopPipelines();
});

interface Answer {
  readonly verdict: string;
  readonly text: string;
  readonly reasons: readonly { readonly code: string; readonly [name: string]: unknown }[];
  readonly rules: readonly {
    readonly against: { readonly value: string; readonly at: string } | null;
  }[];
  readonly owner: unknown;
  readonly known_by: string | null;
  readonly breakers: readonly unknown[];
}

function get(path: string): Promise<ClientAnswer> {
  const { chain: cert, key } = certificate;
  const url = `https://127.0.0.1:${other.addresses().api?.port}${path}`;
  return ask(url, { ca: pipeline.platform.ca, cert, key });
}

/** What the other member says, as soon as it names this cause first, and since when where `since` asks for it. */
async function explained(appId: string, code: string, since?: 'since'): Promise<Answer> {
  return eventually(`${appId} is ${code}`, async () => {
    const { status, body } = await get(`/v1/apps/${appId}/decision`);
    const answer = JSON.parse(body) as Answer;
    const [reason] = answer.reasons;
    return status === 200 && reason?.code === code && (!since || reason['since'] !== undefined) && answer;
  });
}

/** What the other member's page says, without its markup. */
async function shown(appId: string): Promise<string> {
  const url = `http://127.0.0.1:${other.addresses().health?.port}/health/apps/${appId}`;
  const page = await fetch(url, { headers: { authorization: basic('op', 'secret'), connection: 'close' } });
  expect(page.status).toBe(200);
  const body = await page.text();
  return body
    .replace(/<[^>]*>/g, '')
    .replace(/&#(\d+);/g, (_, code: string) => String.fromCharCode(Number(code)));
}

/** The command and the page say so. */
async function expectTold(appId: string, text: RegExp): Promise<void> {
  expect(await told(appId)).toMatch(text);
  expect(await shown(appId)).toMatch(text);
}

/** What the command says. */
async function told(appId: string, atMs?: number): Promise<string> {
  const options = { appId, json: false, atMs };
  return written(() => explainCommand(pipeline.config, trust, options, pipeline.clock));
}

/** What a command writes that succeeds. */
async function written(command: () => Promise<number>): Promise<string> {
  const write = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  expect(await command()).toBe(0);
  const text = write.mock.calls.map(([chunk]) => String(chunk)).join('');
  write.mockRestore();
  return text;
}

/** Apps of one reason, as the other member and the command list them. */
async function listed(reason: ListedReason): Promise<string[]> {
  const { apps } = JSON.parse((await get(`/v1/decisions?reason=${reason}`)).body) as {
    apps: readonly { readonly app_id: string }[];
  };
  const table = await written(() => decisionsCommand(pipeline.config, trust, { reason, json: false }));
  for (const app of apps) expect(table).toContain(app.app_id);
  return apps.map(({ app_id: appId }) => appId);
}

/** Resolves as soon as the app is listed by this reason, which is when its owner's row is written. */
async function isListed(appId: string, reason: ListedReason): Promise<void> {
  await eventually(`${appId} is listed as ${reason}`, async () => (await listed(reason)).includes(appId));
}

const time = expect.stringMatching(/^\d{4}-\d\d-\d\dT/) as unknown as string;

test('a broken policy', async () => {
  const { verdict, text } = await explained(broken, 'policy-broken');
  expect(verdict).toBe('not-evaluated');
  expect(text).toBe('The policy cannot be used: it is a list instead of an object.');
  await expectTold(broken, /The policy cannot be used: it is a list instead of an object/);
  const list = JSON.parse((await get('/v1/decisions?reason=policy-broken')).body) as object;
  expect(list).toMatchObject({ apps: [{ app_id: broken }], cursor: null });
});

test('too few app metrics', async () => {
  const { reasons } = await explained(young, 'not-enough-samples', 'since');
  expect(reasons[0]).toMatchObject({ rule: 1, metric_type: 'cpu', since: time, until: time });
  await expectTold(young, /cannot fire yet: \d+ of 1080 app metrics, collected since .* enough at/);
});

test('a value on the right side of the threshold', async () => {
  const { reasons, rules, text } = await explained(calm, 'not-breached', 'since');
  expect(reasons[0]).toMatchObject({ rule: 1, metric_type: 'cpu', since: time });
  const { value, at } = rules[0]?.against ?? { value: '', at: '' };
  const stored = (await pipeline.rows(calm)).find(
    ({ timestampNs }) => timestampNs / 1_000_000n === BigInt(Date.parse(at)),
  );
  expect(stored).toMatchObject({ metricType: 'cpu', value, unit: '%' });
  expect(text).toContain(`cpu of ${value} % at ${at.slice(11, 19)}`);
  await expectTold(calm, /cpu of \d\d % at \d\d:\d\d:\d\d speaks against rule 1/);
});

test('a cool-down, with the rule that started it', async () => {
  const { verdict, reasons } = await explained(scaled, 'cooling-down');
  expect(verdict).toBe('held');
  expect(reasons[0]).toMatchObject({ rule: 1, since: time, until: time });
  await expectTold(scaled, /cools down until .*, started by rule 1 \(cpu > 80 % for 5 s\) at /);
});

test('an app at its maximum', async () => {
  const { reasons } = await explained(full, 'at-max');
  expect(reasons[0]).toMatchObject({ rule: 1, direction: 'out', limit: 2 });
  await expectTold(full, /the app is at its maximum of 2 instances/);
  await isListed(full, 'at-max');
  expect(await listed('fired')).not.toContain(full);
  // A change within a minute of another one is recorded after that minute.
  const past = await eventually('the change to at-max is recorded', async () => {
    const text = await told(full, pipeline.clock.now());
    return /\nrecorded +at-max /.test(text) && text;
  });
  expect(past).toMatch(
    /verdict +HELD +at-max, at-limit-backoff\n.* the app is at its maximum of 2 instances/,
  );
  expect(past).toMatch(/\nrecorded +at-max since .* \(cpu \d+ %\)\n/);
});

test('log-cache fails for one app', async () => {
  const { reasons } = await explained(uncollected, 'not-collected');
  expect(reasons[0]).toMatchObject({
    metric_type: 'cpu',
    since: time,
    detail: expect.stringMatching(/^server-error: /),
  });
  await expectTold(uncollected, /Log-cache has failed for cpu since/);
  const list = JSON.parse((await get('/v1/decisions?reason=not-collected')).body) as object;
  expect(list).toMatchObject({ reason: 'not-collected' });
});

test('gauges fail while the throughput is fine', async () => {
  await explained(halfBlind, 'not-breached');
  const fault = { kind: 'status', status: 400 } as const;
  pipeline.platform.faults.set({ server: 'logCache', operation: 'gauges', app: halfBlind, fault });
  const { reasons } = await explained(halfBlind, 'not-collected');
  expect(reasons[0]).toMatchObject({ metric_type: 'cpu', detail: expect.stringMatching(/^client-error: /) });
  expect(reasons.map(({ code }) => code)).not.toContain('fired');
  const failingNs = BigInt(Math.ceil(pipeline.clock.now())) * 1_000_000n;
  await eventually('throughput is still stored', async () => {
    const rows = await pipeline.rows(halfBlind);
    return rows.some(
      ({ metricType, timestampNs, value }) =>
        metricType === 'throughput' && timestampNs > failingNs && value !== '',
    );
  });
  await expectTold(halfBlind, /Log-cache has failed for cpu since/);
  await isListed(halfBlind, 'not-collected');
  expect(await listed('fired')).not.toContain(halfBlind);
});

test('a breaker that is open, and why', async () => {
  const { verdict, reasons, text, breakers } = await explained(rejected, 'breaker-open');
  expect(verdict).toBe('held');
  expect(reasons).toMatchObject([
    { rule: 1, until: time },
    { code: 'trigger-failed', detail: expect.stringMatching(/^rejected: .*422.*no such app/) },
  ]);
  expect(text).toContain('422');
  expect(breakers).toEqual([{ scope: 'app', state: 'open', since: time, until: time }]);
  await expectTold(rejected, /no such app/);
  await isListed(rejected, 'breaker-open');
  expect(await listed('fired')).not.toContain(rejected);
});

test('a policy without rules is listed, and rows whose reason is found only on asking are not', async () => {
  expect(await listed('no-rules')).toEqual([ruleless]);
  const { status, body } = await get('/v1/decisions?reason=stale');
  expect([status, body]).toEqual([400, expect.stringContaining('listed as not-collected')]);
});

test('another member owns the app, since when it has evaluated it', async () => {
  const { owner, known_by: knownBy } = await explained(calm, 'not-breached', 'since');
  expect(owner).toEqual({
    instance_index: 0,
    instance_guid: null,
    lease_id: null,
    since: time,
    me: false,
  });
  expect(knownBy).toBe('table');
  expect(await told(calm)).toMatch(/owner +instance 0, since /);
});

test('with static ownership the log says which share of the apps is ours', async () => {
  const { data } = await pipeline.log.until('ownership.static-share');
  expect(data).toEqual({ totalInstances: 2, instanceIndex: 0, appsOwned: 7 });
});

test('changes are told, too', async () => {
  const { status, body } = await get(`/v1/apps/${rejected}/decisions`);
  expect(status).toBe(200);
  const { changes } = JSON.parse(body) as { changes: readonly { readonly to: string }[] };
  expect(changes.length).toBeGreaterThan(0);
});

test('apps by reason are all apps owned', async () => {
  await eventually('every app that is owned has a reason', async () => {
    const owned = await pipeline.value('appsOwned');
    return (
      owned === (await pipeline.value('apps')) && (await pipeline.value('apps', { reason: 'unknown' })) === 0
    );
  });
  expect(await pipeline.value('policiesWithRules')).toBe(7);
});

test('an app without rules has no row, and without a policy no changes', async () => {
  const { pool } = pipeline.appMetricsDb;
  const rowsIn = async (table: string) =>
    (await pool.query(`select from ${table} where app_id = $1`, [rejected])).rowCount ?? 0;
  for (const policy of [{ instance_min_count: 1, instance_max_count: 2 }, []]) {
    await pipeline.setPolicy(rejected, scaleOut);
    await eventually('a row', async () => (await rowsIn('eventgenerator_decision')) === 1);
    await pipeline.setPolicy(rejected, policy);
    await eventually('no row', async () => (await rowsIn('eventgenerator_decision')) === 0);
  }
  expect(await rowsIn('eventgenerator_decision_change')).toBeGreaterThan(0);
  await pipeline.removePolicy(rejected);
  await eventually('no change', async () => (await rowsIn('eventgenerator_decision_change')) === 0);
});
