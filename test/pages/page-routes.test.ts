import { afterEach, expect, test } from '@jest/globals';
import { explain } from '../../src/explanation/explain.js';
import { createBasicAuth } from '../../src/http/basic-auth.js';
import { healthRoutes } from '../../src/http/health-routes.js';
import type { Listener } from '../../src/http/listener.js';
import { pageRoutes } from '../../src/pages/page-routes.js';
import type { PageSource } from '../../src/pages/page-source.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { outRule, settings, steady } from '../evaluation/examples.js';
import { atMs, factsOf } from '../explanation/examples.js';
import { ManualClock } from '../support/manual-clock.js';
import { recordingLogger } from '../support/recording-logger.js';
import { askListener, testListener } from '../http/support.js';

const open: Listener[] = [];
afterEach(() => Promise.all(open.splice(0).map((listener) => listener.close())));

const headers = { authorization: `Basic ${Buffer.from('u:p').toString('base64')}` };

const source: PageSource = {
  app: (appId) =>
    Promise.resolve({
      explanation: explain(factsOf([outRule], { cpu: steady(90n) }, { appId }), settings),
      points: new Map(),
      fromMs: atMs - 1000,
      changes: [],
      collectionIntervalMs: 20_000,
    }),
  apps: (reason, cursor) =>
    Promise.resolve({
      nowMs: atMs,
      isObserver: false,
      counts: [],
      selected: reason && {
        reason,
        apps: [{ appId: `after ${cursor}`, sinceMs: null, detail: '' }],
        nextCursor: null,
      },
      members: 'static',
      breakers: [],
    }),
};

function start(pages: PageSource, credentials: 'configured' | 'none' = 'configured') {
  const listener = testListener();
  open.push(listener);
  const { logger, lines } = recordingLogger();
  const clock = new ManualClock();
  const metrics = createMetrics();
  const half = (plain: string) => (credentials === 'configured' ? { plain } : null);
  const unused = { compare: () => Promise.reject(new Error('nothing is hashed here')) };
  healthRoutes({
    metrics,
    basicAuth: createBasicAuth({ username: half('u'), password: half('p') }, unused),
    readiness: null,
    lifecycle: () => 'running',
    isObserver: false,
    clock,
    pages: pageRoutes(pages, { clock, logger, metrics }),
    metricsPaths: ['/*'],
  })(listener.app);
  return { lines, get: (path: string, options = { headers }) => askListener(listener, path, options) };
}

test('pages are for those with credentials, and do not exist where none are configured', async () => {
  for (const path of ['/health/apps', '/health/apps/app']) {
    expect((await start(source).get(path, { headers: { authorization: '' } })).status).toBe(401);
    const without = await start(source, 'none').get(path);
    expect([without.status, without.body]).toEqual([404, expect.not.stringContaining('app <')]);
  }
});

test('a page is HTML that runs nothing, loads nothing and is kept by nobody', async () => {
  const response = await start(source).get('/health/apps/some%20app');
  expect(response.status).toBe(200);
  expect(response.body).toContain('<h1>App some app</h1>');
  expect(response.headers).toMatchObject({
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': expect.stringContaining("default-src 'none'"),
    'cache-control': 'no-store',
    'x-content-type-options': 'nosniff',
  });
});

test('apps are found by id and by reason', async () => {
  const { get } = start(source);
  const found = await get('/health/apps?app=%20a%2Fb%20');
  expect([found.status, found.headers['location']]).toEqual([303, '/health/apps/a%2Fb']);
  expect((await get('/health/apps?reason=at-max&cursor=x')).body).toContain('after x');
  for (const cursor of ['a%00b', 'a'.repeat(256), 'a&cursor=b']) {
    expect((await get(`/health/apps?reason=at-max&cursor=${cursor}`)).status).toBe(400);
  }
  expect((await get('/health/apps?reason=none-such')).status).toBe(400);
  expect((await get('/health/apps?reason=at-max&reason=at-min')).status).toBe(400);
  expect((await get('/health/apps?reason=stale')).body).toContain('listed as not-collected');
  expect((await get(`/health/apps/${'a'.repeat(101)}`)).status).toBe(400);
  expect((await get('/health/apps/a%00b')).status).toBe(400);
});

test('one page is made at a time; who comes meanwhile is told to come again', async () => {
  let finish = () => {};
  const slow: PageSource = {
    ...source,
    app: (appId) => new Promise((resolve) => (finish = () => resolve(source.app(appId)))),
  };
  const { get } = start(slow);
  const first = get('/health/apps/app');
  let busy = await get('/health/apps');
  while (busy.status === 200) busy = await get('/health/apps');
  expect([busy.status, busy.headers['retry-after']]).toEqual([503, '1']);
  finish();
  expect((await first).status).toBe(200);
  expect((await get('/health/apps')).status).toBe(200);
});

test('a source that fails is 503 and a line in the log, and what it said is not on the page', async () => {
  const { get, lines } = start({ ...source, app: () => Promise.reject(new Error('secret detail')) });
  const response = await get('/health/apps/app');
  expect([response.status, response.body]).toEqual([503, expect.not.stringContaining('secret detail')]);
  expect(lines).toMatchObject([{ level: 'error', event: 'http.page-failed' }]);
});
