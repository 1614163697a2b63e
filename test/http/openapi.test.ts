import { X509Certificate } from 'node:crypto';
import { subscribe } from 'node:diagnostics_channel';
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Ajv2020 } from 'ajv/dist/2020.js';
import type { FastifyInstance } from 'fastify';
import type { HistoryReader } from '../../src/history/history-reader.js';
import type { Lifecycle } from '../../src/http/health-routes.js';
import type { DecisionsReader } from '../../src/decisions/open-decisions.js';
import { explain } from '../../src/explanation/explain.js';
import { listedReasons, reasonCodes } from '../../src/explanation/reason.js';
import { decisionsRoutes } from '../../src/http/decisions-routes.js';
import { membersRoutes } from '../../src/http/members-routes.js';
import { systemClock } from '../../src/util/clock.js';
import { outRule, settings, steady } from '../evaluation/examples.js';
import { atMs, factsOf, knowledgeOf } from '../explanation/examples.js';
import { Servers, type ServersOptions } from '../../src/http/servers.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { ManualClock } from '../support/manual-clock.js';
import {
  appMetric,
  ask,
  basic,
  cloudFoundryConfig,
  historyOf,
  serversDeps,
  type AskOptions,
} from './support.js';

interface Operation {
  readonly description?: string;
  readonly responses: Readonly<Record<string, Response>>;
}
interface Response {
  readonly $ref?: string;
  readonly content?: Readonly<Record<string, unknown>>;
}
interface Document {
  readonly openapi: string;
  readonly paths: Readonly<Record<string, { readonly get: Operation }>>;
  readonly components: { readonly responses: Readonly<Record<string, Response>> };
}

const history = '/v1/apps/{appid}/aggregated_metric_histories/{metrictype}';
const historyPath = '/v1/apps/a/aggregated_metric_histories/cpu';
/** Of no known password; a comparison takes long enough for others to wait. */
const slowHash = { bcrypt: `$2b$09$${'a'.repeat(53)}` };

const document = JSON.parse(
  await readFile(new URL('../../../docs/openapi.json', import.meta.url), 'utf8'),
) as Document;
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, 'openapi');
const seen = new Set<string>();

/** Every path with GET of any server, as fastify tells of it. */
const routes = new Set<string>();
subscribe('fastify.initialization', (message) => {
  const { fastify } = message as { fastify: FastifyInstance };
  fastify.addHook('onRoute', ({ method, url }) => {
    if ([method].flat().includes('GET')) routes.add(url);
  });
});

let xfcc: Record<string, string>;
const started: Servers[] = [];
beforeAll(async () => {
  const authority = await createCertificateAuthority();
  const { cert } = await authority.issue({ commonName: 'guid', organizationalUnits: ['organization:o'] });
  xfcc = { 'x-forwarded-client-cert': new X509Certificate(cert).raw.toString('base64') };
});
afterAll(() => Promise.all(started.map((servers) => servers.close())));

async function start(
  overrides: Partial<ServersOptions> = {},
  basicAuth = cloudFoundryConfig().health.basicAuth,
): Promise<string> {
  const config = cloudFoundryConfig({ health: { basicAuth, readinessEnabled: true } });
  const servers = new Servers(config, serversDeps(overrides));
  started.push(servers);
  await servers.listen('127.0.0.1');
  return `http://127.0.0.1:${servers.addresses().cf?.port}`;
}

/** Asks, and holds the answer to what the document says about the path. */
async function expectDocumented(path: string, url: string, status: number, options: AskOptions = {}) {
  const answer = await ask(url, {
    ...options,
    headers: { ...xfcc, ...(options.headers as Record<string, string>) },
  });
  expect(answer.status).toBe(status);
  const { response, pointer } = documented(path, status);
  const [mediaType = ''] = (answer.headers['content-type'] ?? '').split(';');
  expect(Object.keys(response.content ?? {})).toContain(mediaType);
  const body: unknown = mediaType === 'application/json' ? JSON.parse(answer.body) : answer.body;
  const validate = ajv.compile({ $ref: `openapi#${pointer}/content/${escapePointer(mediaType)}/schema` });
  validate(body);
  expect(validate.errors ?? []).toEqual([]);
  seen.add(`${path} ${status}`);
}

function documented(path: string, status: number): { response: Response; pointer: string } {
  const response = document.paths[path]?.get.responses[status];
  if (!response) throw new Error(`${path} ${status} is not documented`);
  const name = /^#\/components\/responses\/(\w+)$/.exec(response.$ref ?? '')?.[1];
  if (name === undefined) {
    return { response, pointer: `/paths/${escapePointer(path)}/get/responses/${status}` };
  }
  const shared = document.components.responses[name];
  if (!shared) throw new Error(`${response.$ref} does not exist`);
  return { response: shared, pointer: `/components/responses/${name}` };
}

function escapePointer(text: string): string {
  return encodeURIComponent(text.replaceAll('~', '~0').replaceAll('/', '~1'));
}

test('histories', async () => {
  const url = await start({
    history: historyOf([
      appMetric(),
      appMetric({ value: null, unit: '' }),
      appMetric({ value: -(2n ** 63n) }),
    ]),
  });
  await expectDocumented(history, url + historyPath, 200);
  await expectDocumented(history, `${url}${historyPath}?order=up`, 400);
  await expectDocumented(history, url + historyPath, 401, { headers: { 'x-forwarded-client-cert': 'no' } });
  await expectDocumented(history, url + historyPath, 405, { method: 'DELETE' });
  await expectDocumented(history, url + historyPath.replace('cpu', 'c'.repeat(256)), 414);
  const failing: HistoryReader = {
    fromMemory: () => null,
    fromDatabase: () => {
      throw new Error('no database');
    },
  };
  await expectDocumented(history, (await start({ history: failing })) + historyPath, 500);
});

test('members', async () => {
  const path = '/v1/members';
  const member = {
    leaseId: 'l',
    instanceGuid: 'g',
    instanceIndex: 0,
    since: new Date(0).toISOString(),
    expiresInSecs: 8.4,
    appsOwned: 3,
  };
  const startWith = (readMembers: Parameters<typeof membersRoutes>[0]) =>
    start({ apiModules: [membersRoutes(readMembers, new ManualClock(), false)] });
  const url = await startWith(async () => [member]);
  await expectDocumented(path, url + path, 200);
  await expectDocumented(path, url + path, 401, { headers: { 'x-forwarded-client-cert': 'no' } });
  await expectDocumented(path, url + path, 405, { method: 'DELETE' });
  await expectDocumented(path, (await startWith(null)) + path, 200);
  const failing = await startWith(() => Promise.reject(new Error('away')));
  await expectDocumented(path, failing + path, 503);
});

const change = {
  appId: 'a',
  atMs: 5,
  from: null,
  to: 'fired',
  rule: 1,
  value: '81',
  text: 'cpu 81 %',
} as const;

/** Explanations in which everything that a schema describes is there, and in which nothing is. */
const explanations = [
  factsOf(
    [outRule, { ...outRule, operator: '=' }],
    { cpu: { ...steady(81n), 20: null } },
    {
      knowledge: knowledgeOf({
        code: 'breaker-open',
        untilMs: atMs + 1,
        lastTrigger: {
          atMs,
          rule: 1,
          adjustment: '+1',
          direction: 'out',
          result: 'rejected',
          message: 'answered 422',
        },
        failures: [{ metricType: 'jobs', failure: 'timeout', message: 'no answer', sinceMs: atMs }],
      }),
      knownBy: 'table',
    },
  ),
  factsOf([], {}, { policy: { kind: 'none' }, owner: null, pauses: null, missing: ['all'] }),
];

function decisions(reader: Partial<DecisionsReader> = {}) {
  let asked = 0;
  const listed = {
    appId: 'a',
    code: 'at-max',
    sinceMs: 5,
    untilMs: null,
    instanceIndex: 0,
    detail: '',
  } as const;
  const whole: DecisionsReader = {
    explain: async () => explain(explanations[asked++ % 2] ?? factsOf([], {}), settings),
    changes: async () => [change],
    list: async () => [listed],
    count: async () => new Map(),
    ...reader,
  };
  return start({ apiModules: [decisionsRoutes(whole, systemClock)] });
}

const away = () => Promise.reject(new Error('away'));

test('decisions', async () => {
  const path = '/v1/apps/{appid}/decision';
  const url = await decisions();
  await expectDocumented(path, `${url}/v1/apps/a/decision`, 200);
  await expectDocumented(path, `${url}/v1/apps/a/decision`, 200);
  await expectDocumented(path, `${url}/v1/apps/a%00/decision`, 400);
  await expectDocumented(path, `${url}/v1/apps/a/decision`, 401, {
    headers: { 'x-forwarded-client-cert': '' },
  });
  await expectDocumented(path, `${url}/v1/apps/a/decision`, 405, { method: 'POST' });
  await expectDocumented(path, `${url}/v1/apps/${'a'.repeat(256)}/decision`, 414);
  await expectDocumented(path, `${await decisions({ explain: away })}/v1/apps/a/decision`, 503);
});

test('changes of decisions', async () => {
  const path = '/v1/apps/{appid}/decisions';
  const url = `${await decisions()}/v1/apps/a/decisions`;
  await expectDocumented(path, `${url}?since=2026-11-27T03:00:00Z&limit=1`, 200);
  for (const query of [
    'since=yesterday',
    'since=2026-13-27T03:00:00Z',
    'limit=0',
    'limit=201',
    'limit=1&limit=2',
  ]) {
    await expectDocumented(path, `${url}?${query}`, 400);
  }
  await expectDocumented(path, url, 401, { headers: { 'x-forwarded-client-cert': '' } });
  await expectDocumented(path, url, 405, { method: 'POST' });
  await expectDocumented(path, url.replace('/a/', `/${'a'.repeat(256)}/`), 414);
  await expectDocumented(path, `${await decisions({ changes: away })}/v1/apps/a/decisions`, 503);
});

test('apps by decision', async () => {
  const path = '/v1/decisions';
  const url = `${await decisions()}/v1/decisions`;
  await expectDocumented(path, `${url}?reason=at-max`, 200);
  await expectDocumented(path, `${url}?reason=at-max&limit=1&cursor=a`, 200);
  for (const query of [
    '',
    'reason=bored',
    'reason=stale',
    'reason=at-max&limit=1001',
    'reason=at-max&cursor=%00',
  ]) {
    await expectDocumented(path, `${url}?${query}`, 400);
  }
  await expectDocumented(path, `${url}?reason=at-max`, 401, { headers: { 'x-forwarded-client-cert': '' } });
  await expectDocumented(path, `${url}?reason=at-max`, 405, { method: 'POST' });
  await expectDocumented(path, `${await decisions({ list: away })}/v1/decisions?reason=at-max`, 503);
});

test('every example is what its schema describes', () => {
  let examples = 0;
  for (const [path, { get }] of Object.entries(document.paths)) {
    for (const [status, { content = {} }] of Object.entries(get.responses)) {
      for (const [mediaType, described] of Object.entries(content)) {
        const { example } = described as { readonly example?: unknown };
        if (example === undefined) continue;
        examples++;
        const pointer = `/paths/${escapePointer(path)}/get/responses/${status}`;
        const schema = `openapi#${pointer}/content/${escapePointer(mediaType)}/schema`;
        const validate = ajv.compile({ $ref: schema });
        validate(example);
        expect([path, validate.errors ?? []]).toEqual([path, []]);
      }
    }
  }
  expect(examples).toBeGreaterThanOrEqual(3);
});

test('the reasons are those of the document', () => {
  const { schemas } = document.components as unknown as {
    schemas: Record<'ReasonCode' | 'ListedReason', { enum: string[] }>;
  };
  expect(schemas.ReasonCode.enum).toEqual(reasonCodes);
  expect(schemas.ListedReason.enum).toEqual(listedReasons);
});

test('liveness', async () => {
  const url = await start();
  await expectDocumented('/v1/liveness', `${url}/v1/liveness`, 200);
  await expectDocumented('/v1/liveness', `${url}/v1/liveness`, 401, {
    headers: { 'x-forwarded-client-cert': '' },
  });
  await expectDocumented('/v1/liveness', `${url}/v1/liveness`, 405, { method: 'PUT' });
  await expectDocumented('/health/liveness', `${url}/health/liveness`, 200);
  await expectDocumented('/health/liveness', `${url}/health/liveness`, 405, { method: 'PUT' });
});

test('readiness', async () => {
  let state: Lifecycle = 'running';
  const readinessChecks = [
    { name: 'policy_db', type: 'database', check: async () => true },
    { name: 'token', type: 'uaa', check: async () => false },
  ];
  const url = await start({ lifecycle: () => state, readinessChecks });
  await expectDocumented('/health/readiness', `${url}/health/readiness`, 200);
  await expectDocumented('/health/readiness', `${url}/health/readiness`, 405, { method: 'POST' });
  state = 'draining';
  await expectDocumented('/health/readiness', `${url}/health/readiness`, 503);
});

test('metrics', async () => {
  const url = await start({}, { username: { plain: 'u' }, password: { plain: 'p' } });
  await expectDocumented('/health', `${url}/health`, 200, { headers: basic('u', 'p') });
  await expectDocumented('/health', `${url}/health`, 401);
  await expectDocumented('/health', `${url}/health`, 405, { method: 'POST', headers: basic('u', 'p') });
  const overrun = await start({}, { username: null, password: slowHash });
  const flood = Array.from({ length: 20 }, (_, i) =>
    ask(`${overrun}/health`, { headers: basic('', `${i}`) }),
  );
  await Promise.race(flood);
  await expectDocumented('/health', `${overrun}/health`, 503, { headers: basic('', 'p') });
  await Promise.all(flood);
});

test('profiles', async () => {
  const clock = new ManualClock();
  const path = '/debug/pprof/profile';
  const url = await start({ clock }, { username: { plain: 'u' }, password: { plain: 'p' } });
  const headers = basic('u', 'p');
  const taking = expectDocumented(path, `${url}${path}?seconds=1`, 200, { headers });
  await clock.timersPending(1);
  await expectDocumented(path, url + path, 409, { headers });
  await clock.advance(1_000);
  await taking;
  await expectDocumented(path, `${url}${path}?seconds=x`, 400, { headers });
  await expectDocumented(path, url + path, 401);
  await expectDocumented(path, url + path, 405, { method: 'POST', headers });
  await expectDocumented(path, (await start()) + path, 404);
});

test('every answer that is documented was given', () => {
  expect(document.openapi).toMatch(/^3\.1\./);
  const all = Object.entries(document.paths).flatMap(([path, { get }]) =>
    Object.keys(get.responses).map((status) => `${path} ${status}`),
  );
  expect([...seen].sort()).toEqual(all.sort());
});

test('every route is described', () => {
  const texts = Object.values(document.paths).map(({ get }) => get.description ?? '');
  const isDescribed = (url: string) =>
    url.replaceAll(/:(\w+)/g, '{$1}') in document.paths || texts.some((text) => text.includes(`\`${url}\``));
  expect(routes.size).toBeGreaterThanOrEqual(Object.keys(document.paths).length);
  expect([...routes].filter((url) => !isDescribed(url))).toEqual([]);
});
