import { afterEach, expect, test } from '@jest/globals';
import type { Config, UaaConfig } from '../../src/config/config.js';
import { constantLoad } from '../platform/load-script.js';
import { standardAccounts } from '../platform/platform.js';
import { nothingWrong, startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when } from './policies.js';

// Over REST only: gRPC needs no token.

afterEach(stopPipelines);

const apps = Array.from({ length: 4 }, (_, i) => ({
  guid: `app-${i}`,
  tickSecs: 1,
  instances: 2,
  load: constantLoad({ cpuPercent: 100, requestsPerSecond: 100 }),
  policy: policyOf(when('cpu < 20', '-1'), when('throughput < 20', '-1')),
}));

const admin = { grants: ['client_credentials'], authorities: ['logs.admin'] } as const;

function withUaa(changes: Partial<UaaConfig>): (config: Config) => Config {
  return (config) => {
    const { logCache } = config;
    if (!logCache.uaa) throw new Error('this test is about UAA');
    return { ...config, logCache: { ...logCache, uaa: { ...logCache.uaa, ...changes } } };
  };
}

test('with a wrong secret UAA is left alone, log-cache is not asked, and one line says what to mend', async () => {
  const pipeline = await startPipeline({
    apps,
    speed: 20,
    configure: withUaa({ clientSecret: 'mistyped-secret' }),
  });
  const { accounts, books } = pipeline.platform;
  await pipeline.reaches('collections', 24, { result: 'no-token' });
  // After a refusal the next try comes half a minute later, then later still.
  const { requests } = books.of('token');
  expect(requests).toBeLessThanOrEqual(1 + Math.log2(1 + pipeline.clock.monotonic() / 30_000));
  expect(books.of('token').byStatus).toEqual({ 401: requests });
  expect(books.of('read').requests + books.of('query').requests).toBe(0);
  const [refusal, ...more] = pipeline.log.lines.filter(
    ({ event, data }) => event === 'uaa.token-refused' && data['kind'] === 'credentials',
  );
  expect(more).toEqual([]);
  expect(refusal).toMatchObject({ level: 'error', data: { kind: 'credentials' } });
  expect(refusal?.message).toContain(
    `UAA client "${standardAccounts.clientId}" got no token from ${pipeline.platform.urls.uaa}/oauth/token: ` +
      'HTTP status 401 (unauthorized: Bad credentials); check metricCollector.uaa.client_id and client_secret',
  );
  expect(JSON.stringify(pipeline.log.lines)).not.toContain('mistyped-secret');
  expect(await pipeline.rows()).toEqual([]);
  expect(await pipeline.value('tokenAgeSeconds')).toBe(-1);
  const readiness = await pipeline.get('health', '/health/readiness');
  expect(JSON.parse(readiness.body)).toMatchObject({
    checks: expect.arrayContaining([{ name: 'uaa', type: 'token', status: 'DOWN' }]),
  });

  accounts.setClient(standardAccounts.clientId, { ...admin, secret: 'mistyped-secret' });
  await pipeline.log.until('uaa.token-recovered');
  await pipeline.freshRows('app-0', 2);
  expect(books.triggers.total).toBe(0);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('a token revoked while all apps work is replaced once, and no app metric is missed', async () => {
  const pipeline = await startPipeline({ apps });
  const { books, tokens } = pipeline.platform;
  for (const { guid } of apps) await pipeline.freshRows(guid, 2);
  tokens.revokeAll();
  for (const { guid } of apps) await pipeline.freshRows(guid, 4);
  expect(books.of('token').requests).toBe(2);
  // Whichever comes first, a read or a query, has the token replaced, perhaps before the other one is sent.
  const rejected = (kind: 'read' | 'query') => books.of(kind).byStatus['404'] ?? 0;
  expect(rejected('read') + rejected('query')).toBeGreaterThan(0);
  expect(await pipeline.value('collections', { result: 'unauthorized' })).toBe(0);
  expect(pipeline.told().filter(({ level }) => level === 'error')).toEqual([]);
  expect(books.triggers.total).toBe(0);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

/** Resolves when every app was served again. */
async function servedAgain(pipeline: Pipeline): Promise<void> {
  for (const { guid } of apps) await pipeline.freshRows(guid, 2);
}

test('tokens revoked one after the other are each replaced at once', async () => {
  const pipeline = await startPipeline({ apps, speed: 20 });
  const { books, tokens } = pipeline.platform;
  await servedAgain(pipeline);
  for (let revocations = 0; revocations < 6; revocations++) {
    tokens.revokeAll();
    await servedAgain(pipeline);
  }
  expect(books.of('token').requests).toBeGreaterThanOrEqual(7);
  expect(books.of('token').requests).toBeLessThanOrEqual(2 + pipeline.clock.monotonic() / 10_000);
  expect(await pipeline.audit()).toMatchObject({ falseRows: [], duplicated: 0 });
});

test('an auth proxy that refuses everybody now and then keeps no app from being served when it is well', async () => {
  const pipeline = await startPipeline({ apps, speed: 20 });
  const { books, faults, tokens } = pipeline.platform;
  await servedAgain(pipeline);
  for (let flaps = 1; flaps <= 6; flaps++) {
    const refused = await pipeline.value('collections', { result: 'unauthorized' });
    const fault = faults.set({ server: 'logCache', fault: { kind: 'unauthorized' } });
    await pipeline.reaches('collections', refused + 8, { result: 'unauthorized' });
    // What was fetched meanwhile is worthless when it is over, as after a change of UAA's keys.
    tokens.revokeAll();
    fault.lift();
    await servedAgain(pipeline);
  }
  expect(books.of('token').requests).toBeLessThanOrEqual(2 + pipeline.clock.monotonic() / 10_000);
  expect(books.triggers.total).toBe(0);
  expect(await pipeline.audit()).toMatchObject({ falseRows: [], duplicated: 0 });
});

test('one forbidden app costs the others nothing while tokens are revoked', async () => {
  const pipeline = await startPipeline({ apps, speed: 20 });
  const { books, faults, tokens } = pipeline.platform;
  const [forbidden, ...others] = apps;
  if (!forbidden) throw new Error('no app');
  faults.set({ server: 'logCache', app: forbidden.guid, fault: { kind: 'unauthorized' } });
  for (let revocations = 0; revocations < 6; revocations++) {
    for (const { guid } of others) await pipeline.freshRows(guid, 2);
    tokens.revokeAll();
  }
  for (const { guid } of others) await pipeline.freshRows(guid, 2);
  expect(books.of('token').requests).toBeGreaterThanOrEqual(7);
  expect(await pipeline.value('collections', { result: 'unauthorized' })).toBeGreaterThan(0);
  expect(await pipeline.rows(forbidden.guid)).toEqual([]);
  expect(await pipeline.audit()).toMatchObject({ falseRows: [], duplicated: 0 });
});

test('a client that may read nothing is named with the scope that it lacks, and UAA is spared', async () => {
  const pipeline = await startPipeline({
    apps,
    speed: 20,
    platform: {
      clients: {
        [standardAccounts.clientId]: {
          secret: standardAccounts.clientSecret,
          grants: ['client_credentials'],
          authorities: ['openid'],
        },
      },
    },
  });
  const { accounts, books } = pipeline.platform;
  const told = await pipeline.log.until('collection.log-cache-refuses-every-app');
  expect(told.message).toBe(
    `The token of UAA client "${standardAccounts.clientId}" lacks the scope logs.admin or doppler.firehose (it has openid), ` +
      'so log-cache shows only apps that the token may see: add logs.admin to the authorities of the client',
  );
  await pipeline.reaches('collections', 40, { result: 'unauthorized' });
  expect(books.of('token').requests).toBeLessThanOrEqual(3);
  expect(await pipeline.rows()).toEqual([]);

  accounts.setClient(standardAccounts.clientId, { ...admin, secret: standardAccounts.clientSecret });
  await pipeline.log.until('collection.log-cache-serves-again');
  for (const { guid } of apps) await pipeline.freshRows(guid, 2);
  expect(books.triggers.total).toBe(0);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});
