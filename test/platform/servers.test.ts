import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { ManualClock } from '../support/manual-clock.js';
import { adminAuthorization, ask, askForToken, basic, type ClientAnswer } from './client.js';
import { constantLoad } from './load-script.js';
import { startPlatform, standardAccounts, type Platform } from './platform.js';

const clock = new ManualClock();
const load = constantLoad({ requestsPerSecond: 50, cpuPercent: 100 });
let platform: Platform;
let authorization: string;

beforeAll(async () => {
  platform = await startPlatform({
    clock,
    // Time stands still.
    queryUsPerEnvelope: 0,
    apps: [
      { guid: 'shop', load, instances: 2 },
      { guid: 'bank', load },
    ],
    clients: {
      [standardAccounts.clientId]: {
        secret: standardAccounts.clientSecret,
        grants: ['client_credentials'],
        authorities: ['doppler.firehose', 'logs.admin'],
      },
      'odd+id': { secret: 'a+b%c d', grants: ['client_credentials'], authorities: ['logs.admin'] },
      tenant: { secret: 'tenant', grants: ['client_credentials'], authorities: ['openid'], apps: ['shop'] },
      cf: { secret: '', grants: ['password'], tokenLifetimeSecs: 1200 },
    },
    users: {
      jane: { password: 'right', scopes: ['logs.admin', 'openid'] },
      joe: { password: 'j', scopes: [] },
    },
  });
  authorization = await adminAuthorization(platform);
});
afterEach(() => platform.faults.clear());
afterAll(() => platform.stop());

function get(path: string, headers: Record<string, string> = { authorization }): Promise<ClientAnswer> {
  return ask(platform.urls.logCache + path, { ca: platform.ca, headers });
}

function query(promql: string, headers?: Record<string, string>): Promise<ClientAnswer> {
  const time = Math.floor(clock.now() / 1000);
  return get(
    `/api/v1/query?${new URLSearchParams({ query: promql, time: String(time) }).toString()}`,
    headers,
  );
}

function queryRange(parameters: Record<string, string>, headers?: Record<string, string>) {
  return get(`/api/v1/query_range?${new URLSearchParams(parameters).toString()}`, headers);
}

describe('UAA', () => {
  test('client_credentials yields a JWT with the authorities as scope, and a second less than its lifetime', async () => {
    const answer = await askForToken(platform, { grant_type: 'client_credentials' });
    expect(answer.status).toBe(200);
    const token = JSON.parse(answer.body) as Record<string, unknown>;
    expect(token).toMatchObject({
      token_type: 'bearer',
      expires_in: 43_199,
      scope: 'doppler.firehose logs.admin',
    });
    expect(String(token['access_token']).split('.')).toHaveLength(3);
    expect(token).not.toHaveProperty('refresh_token');
  });

  test('Basic credentials are form-decoded, so raw ones with % or + fail', async () => {
    const form = { grant_type: 'client_credentials' };
    expect((await askForToken(platform, form, basic('odd+id', 'a+b%c d'))).status).toBe(200);
    const raw = `Basic ${Buffer.from('odd+id:a+b%c d').toString('base64')}`;
    expect((await askForToken(platform, form, raw)).status).toBe(401);
  });

  test('the cf client has an empty secret and gets user tokens', async () => {
    const form = { grant_type: 'password', username: 'jane', password: 'right' };
    const answer = await askForToken(platform, form, basic('cf', ''));
    expect(JSON.parse(answer.body)).toMatchObject({ expires_in: 1199, scope: 'logs.admin openid' });
    expect(answer.body).toContain('refresh_token');
  });

  test.each([
    ['a wrong secret', { grant_type: 'client_credentials' }, basic('tenant', 'no'), 401, 'invalid_client'],
    [
      'a wrong password',
      { grant_type: 'password', username: 'jane', password: 'x' },
      basic('cf', ''),
      401,
      'invalid_client',
    ],
    [
      'a grant the client may not use',
      { grant_type: 'password' },
      basic('tenant', 'tenant'),
      401,
      'invalid_client',
    ],
    ['no grant type', {}, basic('tenant', 'tenant'), 400, 'invalid_request'],
    [
      'an unknown grant type',
      { grant_type: 'magic' },
      basic('tenant', 'tenant'),
      400,
      'unsupported_grant_type',
    ],
    [
      'a scope it does not have',
      { grant_type: 'client_credentials', scope: 'uaa.admin' },
      basic('tenant', 'tenant'),
      400,
      'invalid_scope',
    ],
  ])('refuses %s', async (_what, form, header, status, error) => {
    const answer = await askForToken(platform, form, header);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ error });
  });

  test('five wrong passwords lock the user for five minutes', async () => {
    const login = (password: string) =>
      askForToken(platform, { grant_type: 'password', username: 'joe', password }, basic('cf', ''));
    for (let i = 0; i < 5; i++) expect((await login('wrong')).body).toContain('Bad credentials');
    expect((await login('j')).body).toContain('locked');
    await clock.advance(300_001);
    expect((await login('j')).status).toBe(200);
  });
});

describe('the auth proxy', () => {
  const path = '/api/v1/read/shop';

  test('answers 404 with an empty body to everyone it refuses', async () => {
    for (const headers of [{}, { authorization: 'bearer nonsense' }, { authorization: 'bearer a.b.c' }]) {
      expect(await get(path, headers)).toMatchObject({ status: 404, body: '' });
      expect((await query(`cpu{source_id="shop"}`, headers)).status).toBe(404);
    }
    expect((await get('/somewhere')).body).toBe('404 page not found\n');
  });

  test('refuses a token of another authority, an expired one, and a revoked one', async () => {
    expect((await get(path)).status).toBe(200);
    const [head = '', payload = ''] = authorization.split('.');
    expect((await get(path, { authorization: `${head}.${payload}.AAAA` })).status).toBe(404);
    const old = await adminAuthorization(platform);
    platform.tokens.revokeAll();
    expect((await get(path, { authorization: old })).status).toBe(404);
    authorization = await adminAuthorization(platform);
    expect((await get(path)).status).toBe(200);
    await clock.advance(43_200_000);
    expect((await get(path)).status).toBe(404);
    authorization = await adminAuthorization(platform);
  });

  test('lets a token without admin scope read its own apps only', async () => {
    const answer = await askForToken(
      platform,
      { grant_type: 'client_credentials' },
      basic('tenant', 'tenant'),
    );
    const tenant = `bearer ${(JSON.parse(answer.body) as { access_token: string }).access_token}`;
    expect((await get(path, { authorization: tenant })).status).toBe(200);
    expect((await get('/api/v1/read/bank', { authorization: tenant })).status).toBe(404);
    expect((await query(`cpu{source_id=~"shop|bank"}`, { authorization: tenant })).status).toBe(404);
    const times = { start: '1', end: '2', step: '1' };
    const range = (source: string) =>
      queryRange({ query: `cpu{source_id="${source}"}`, ...times }, { authorization: tenant });
    expect([(await range('shop')).status, (await range('bank')).status]).toEqual([200, 404]);
  });

  test('tells its version to anyone', async () => {
    expect((await get('/api/v1/info', {})).body.trim()).toBe('{"version":"3.2.12","vm_uptime":"789"}');
  });
});

describe('log-cache', () => {
  test.each([
    ['/api/v1/read/.', 307, ''],
    ['/api/v1/read/..?limit=5', 307, ''],
    ['/api/v1/read/%zz', 400, '400 Bad Request'],
    ['/api/v1/read/%ff', 500, expect.stringContaining('"code":13')],
  ])('answers the odd path %s as Go does', async (path, status, body) => {
    const answer = await ask(platform.urls.logCache, { ca: platform.ca, headers: { authorization }, path });
    expect(answer).toMatchObject({ status, body });
  });

  test('serves queries with GET only, and takes a token without a word before it', async () => {
    const parameters = new URLSearchParams({ query: 'cpu{source_id="shop"}' }).toString();
    const path = `/api/v1/query?${parameters}`;
    const options = { ca: platform.ca, headers: { authorization } };
    for (const each of [path, `/api/v1/query_range?${parameters}`]) {
      const posted = await ask(platform.urls.logCache + each, { ...options, method: 'POST' });
      expect(posted.status).toBe(501);
      expect(JSON.parse(posted.body)).toEqual({
        status: 'error',
        errorType: 'internal',
        error: 'Method Not Allowed',
      });
      expect((await ask(platform.urls.logCache + each, { ...options, method: 'HEAD' })).status).toBe(501);
    }
    expect((await get(path, { authorization: authorization.replace('Bearer ', '') })).status).toBe(200);
  });

  test('refuses a query whose ids are no regular expression, and one alone with such an id does not matter', async () => {
    const odd = JSON.stringify('shop|a"b\\c');
    expect((await query(`cpu{source_id=~${odd}}`)).status).toBe(400);
    expect((await query(`cpu{source_id=${odd}}`)).status).toBe(200);
  });

  test('answers a read in protojson', async () => {
    platform.logCache.inject({
      timestampUs: clock.now() * 1000 - 1,
      sourceId: 'odd/source',
      instanceId: '',
      tags: {},
      body: { type: 'GAUGE', metrics: { jobs: { unit: '', value: NaN } } },
    });
    const { status, body } = await get('/api/v1/read/odd%2Fsource');
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      envelopes: {
        batch: [
          {
            timestamp: `${clock.now() * 1000 - 1}000`,
            source_id: 'odd/source',
            instance_id: '',
            deprecated_tags: {},
            tags: {},
            gauge: { metrics: { jobs: { unit: '', value: 'NaN' } } },
          },
        ],
      },
    });
  });

  test.each([
    ['limit=1001', 500, 2],
    ['start_time=5&end_time=2', 500, 2],
    ['name_filter=(', 500, 2],
    ['limit=abc', 400, 3],
    ['limit=1&limit=2', 400, 3],
    ['envelope_types=NOISE', 400, 3],
    ['descending=perhaps', 400, 3],
  ])('refuses %s with %i', async (parameters, status, code) => {
    const answer = await get(`/api/v1/read/shop?${parameters}`);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ code, details: [] });
  });

  test('takes camelCase names, enum numbers and ANY', async () => {
    const read = async (parameters: string) => {
      const { body } = await get(`/api/v1/read/shop?limit=1000&${parameters}`);
      return (JSON.parse(body) as { envelopes: { batch: object[] } }).envelopes.batch;
    };
    expect(await read('envelopeTypes=3&nameFilter=^cpu$')).toEqual(
      await read('envelope_types=GAUGE&name_filter=^cpu$&envelope_types=ANY'),
    );
  });

  test('answers a query with numbers as text and the time in ms', async () => {
    const { body } = await query(
      `sum by (source_id) (count_over_time(http{source_id="shop",peer_type="Client"}[40s])) / 40`,
    );
    const time = Math.floor(clock.now() / 1000).toFixed(3);
    expect(body).toBe(
      `{"status":"success","data":{"resultType":"vector","result":[{"metric":{"source_id":"shop"},"value":[${time},"50"]}]}}\n`,
    );
  });

  test.each([
    ['sum(', 400, 'bad_data'],
    ['1 + 1', 400, 'bad_data'],
    ['cpu{source_id="shop"} + memory', 500, 'internal'],
    ['count_over_time(http{source_id="shop"}[90s])', 500, 'internal'],
  ])('refuses the query %s with %i', async (promql, status, errorType) => {
    const answer = await query(promql);
    expect(answer.status).toBe(status);
    expect(JSON.parse(answer.body)).toMatchObject({ status: 'error', errorType });
  });

  test('answers a range query with the values of every step', async () => {
    const secs = Math.floor(clock.now() / 1000);
    const times = { start: String(secs - 30), end: String(secs), step: '15' };
    const requests = 'sum by (source_id) (count_over_time(http{source_id="shop",peer_type="Client"}[10s]))';
    const { status, headers, body } = await queryRange({ query: requests, ...times });
    expect([status, headers['content-type']]).toEqual([200, 'application/json']);
    // The last window ends at the end of what is read, the others with the second in which they end.
    const values = [`[${secs - 30}.000,"550"]`, `[${secs - 15}.000,"550"]`, `[${secs}.000,"500"]`];
    expect(body).toBe(
      `{"status":"success","data":{"resultType":"matrix","result":[{"metric":{"source_id":"shop"},"values":[${values.join(',')}]}]}}\n`,
    );
    const { body: none } = await queryRange({ query: 'cpu{source_id="nobody"}', ...times });
    expect(none).toBe('{"status":"success","data":{"resultType":"matrix","result":[]}}\n');
  });

  test.each([
    ['query=sum(&step=5', 400, 'bad_data', 'parse error at char 5'],
    ['query=1&step=5', 400, 'bad_data', 'query does not request any source_ids'],
    ['query=cpu{source_id="shop"}', 500, 'internal', `couldn't parse step: cannot parse "" to a valid step`],
    ['query=cpu{source_id="shop"}&step=5', 500, 'internal', `couldn't parse start: cannot parse ""`],
    ['query=cpu{source_id="shop"}&step=5&step=6', 400, 'internal', 'too many values for field "step": 5, 6'],
    [
      'query=cpu{source_id="shop"}[1m]&start=1&end=1&step=1',
      500,
      'internal',
      'invalid expression type "range vector" for range query',
    ],
  ])('refuses the range query %s with %i', async (parameters, status, errorType, error) => {
    const answer = await get(`/api/v1/query_range?${parameters}`);
    expect(answer.status).toBe(status);
    const text: unknown = expect.stringContaining(error);
    expect(JSON.parse(answer.body)).toEqual({ status: 'error', errorType, error: text });
  });

  test('takes a repeated time for an error of the request', async () => {
    const { status, body } = await get('/api/v1/query?query=cpu{source_id="shop"}&time=5&time=6');
    expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([
      400,
      'too many values for field "time": 5, 6',
    ]);
  });

  test('a time that is none is an error', async () => {
    const { status, body } = await get(`/api/v1/query?query=cpu{source_id="shop"}&time=noon`);
    expect([status, (JSON.parse(body) as { error: string }).error]).toEqual([
      500,
      'cannot parse "noon" to a valid Unix or RFC3339 timestamp',
    ]);
  });
});

test('the books count requests, envelopes and bytes by kind', async () => {
  const before = structuredClone(platform.books.of('read'));
  const { body } = await get('/api/v1/read/shop?limit=1000&name_filter=^cpu$');
  const { batch } = (JSON.parse(body) as { envelopes: { batch: object[] } }).envelopes;
  await platform.books.until((books) => books.of('read').requests > before.requests);
  const { requests, envelopes, bytes, byStatus } = platform.books.of('read');
  expect(requests - before.requests).toBe(1);
  expect(envelopes - before.envelopes).toBe(batch.length);
  expect(bytes - before.bytes).toBe(Buffer.byteLength(body));
  expect((byStatus['200'] ?? 0) - (before.byStatus['200'] ?? 0)).toBe(1);
});
