import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Client, credentials } from '@grpc/grpc-js';
import { ManualClock } from '../support/manual-clock.js';
import { adminAuthorization, ask, askForToken, basic } from './client.js';
import type { Envelope } from './envelope.js';
import { egressService } from './grpc-definition.js';
import { constantLoad } from './load-script.js';
import { startPlatform, standardAccounts, type Platform } from './platform.js';

/* What log-cache tells of its sources without their envelopes. */

const clock = new ManualClock();
const nowUs = clock.now() * 1000;
let platform: Platform;
let admin: string;
let tenant: string;

beforeAll(async () => {
  platform = await startPlatform({
    clock,
    maxPerSource: 2000,
    logCacheNodes: 2,
    apps: [
      {
        guid: 'shop',
        instances: 3,
        load: constantLoad({ requestsPerSecond: 5, cpuPercent: 100 }),
        runningForSecs: 60,
        logLinesPerSecond: 2,
      },
      { guid: 'idle', load: constantLoad({}), runningForSecs: 0 },
    ],
    clients: {
      [standardAccounts.clientId]: {
        secret: standardAccounts.clientSecret,
        grants: ['client_credentials'],
        authorities: ['logs.admin'],
      },
      tenant: { secret: 'tenant', grants: ['client_credentials'], authorities: ['openid'], apps: ['jobs'] },
    },
  });
  for (let i = 0; i < 2005; i++) platform.logCache.inject(depth('many', i));
  platform.logCache.inject(depth('jobs', 1));
  platform.logCache.inject(depth('jobs', 5));
  admin = await adminAuthorization(platform);
  const { body } = await askForToken(
    platform,
    { grant_type: 'client_credentials' },
    basic('tenant', 'tenant'),
  );
  tenant = `bearer ${(JSON.parse(body) as { access_token: string }).access_token}`;
});
afterEach(() => platform.faults.clear());
afterAll(() => platform.stop());

function depth(sourceId: string, us: number): Envelope {
  const body = { type: 'GAUGE', metrics: { depth: { unit: '', value: us } } } as const;
  return { timestampUs: nowUs - 10_000 + us, sourceId, instanceId: '0', tags: {}, body };
}

function meta(authorization?: string, method = 'GET') {
  const headers = authorization === undefined ? {} : { authorization };
  return ask(`${platform.urls.logCache}/api/v1/meta`, { ca: platform.ca, headers, method });
}

type Metas = Readonly<Record<string, Readonly<Record<string, string>>>>;

async function metas(authorization = admin): Promise<Metas> {
  return (JSON.parse((await meta(authorization)).body) as { meta: Metas }).meta;
}

const jobs = {
  count: '2',
  oldestTimestamp: `${nowUs - 9_999}000`,
  newestTimestamp: `${nowUs - 9_995}000`,
};

test('is the count and the ends of what is held of every source, and how much of it expired', async () => {
  const { status, headers } = await meta(admin);
  expect([status, headers['content-type']]).toEqual([200, 'text/plain; charset=utf-8']);
  const all = await metas();
  expect(Object.keys(all)).toEqual(['jobs', 'many', 'shop']);
  expect(all['jobs']).toEqual(jobs);
  expect(all['many']).toEqual({
    count: '2000',
    expired: '5',
    oldestTimestamp: `${nowUs - 9_995}000`,
    newestTimestamp: `${nowUs - 7_996}000`,
  });
});

test('counts an app by its rates, as near as a tick', async () => {
  const sourceId = 'shop';
  const all = { startNs: 0n, endNs: 0n, limit: 1000, types: [], nameFilter: '' };
  const page = (endNs: bigint) => platform.logCache.read({ ...all, sourceId, endNs, descending: true });
  const held = page(0n);
  const older = page(BigInt(held.at(-1)?.timestampUs ?? 0) * 1000n);
  const { count, oldestTimestamp, newestTimestamp, ...rest } = (await metas())['shop'] ?? {};
  expect(rest).toEqual({});
  const read = held.length + older.length;
  expect(older.length).toBeLessThan(1000);
  expect(Math.abs(Number(count) - read)).toBeLessThan(3 * 13);
  expect(newestTimestamp).toBe(`${held[0]?.timestampUs}000`);
  expect(oldestTimestamp).toBe(`${(older.at(-1) ?? held.at(-1))?.timestampUs}000`);
});

test('is asked for by the proxy itself, whatever the method', async () => {
  expect((await meta(admin, 'POST')).body).toBe((await meta(admin)).body);
  expect(await meta(admin, 'HEAD')).toMatchObject({ status: 200, body: '' });
});

test('is the tenant’s own, and nothing if Cloud Controller cannot be asked', async () => {
  expect(await metas(tenant)).toEqual({ jobs });
  platform.faults.set({ server: 'cloudController', fault: { kind: 'status', status: 500 } });
  expect((await meta(tenant)).body).toBe('{}\n');
  expect(Object.keys(await metas())).toHaveLength(3);
});

test('is refused without a token, or with a bad one', async () => {
  for (const authorization of [undefined, 'bearer nonsense']) {
    expect(await meta(authorization)).toMatchObject({ status: 404, body: '' });
  }
});

test('over gRPC has what is zero, too', async () => {
  expect(await metaByGrpc()).toMatchObject({
    meta: {
      jobs: {
        count: '2',
        expired: '0',
        oldest_timestamp: jobs.oldestTimestamp,
        newest_timestamp: jobs.newestTimestamp,
      },
      many: { count: '2000', expired: '5' },
    },
  });
  platform.faults.set({ server: 'logCache', operation: 'meta', fault: { kind: 'empty' } });
  expect(await metaByGrpc()).toEqual({ meta: {} });
});

test('lacks the sources of a node that is down', async () => {
  const node = platform.logCacheNodes.numberOf('many');
  const others = ['jobs', 'shop'].filter((id) => platform.logCacheNodes.numberOf(id) !== node);
  platform.logCacheNodes.takeDown(node);
  expect(Object.keys(await metas())).toEqual(others);
  platform.logCacheNodes.bringUp(node);
});

test('is 502 while the gateway or log-cache is away, and lacks what a restart lost', async () => {
  const { logCacheRoute: route } = platform;
  route.takeDown('gateway');
  expect(await meta(admin)).toMatchObject({ status: 502, body: '' });
  route.bringUp('gateway');
  route.takeDown('logCache');
  expect(await meta(admin)).toMatchObject({ status: 502, body: '' });
  route.bringUp('logCache');
  await clock.advance(1_000);
  expect(Object.keys((await metas()) ?? {})).not.toContain('jobs');
});

async function metaByGrpc(): Promise<unknown> {
  const { key, chain } = await platform.issueCertificate('eventgenerator');
  const client = new Client(
    platform.logCacheGrpc,
    credentials.createSsl(Buffer.from(platform.ca), Buffer.from(key), Buffer.from(chain)),
    { 'grpc.ssl_target_name_override': 'logcache' },
  );
  const { path, requestSerialize, responseDeserialize } = egressService.Meta;
  try {
    return await new Promise((resolve, reject) =>
      client.makeUnaryRequest(
        path,
        requestSerialize,
        responseDeserialize,
        { local_only: false },
        (error, answer) => (answer ? resolve(answer) : reject(error ?? new Error('no message'))),
      ),
    );
  } finally {
    client.close();
  }
}
