import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { execFile, spawnSync } from 'node:child_process';
import { createServer, type Server } from 'node:http';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { explain } from '../../src/explanation/explain.js';
import { appPage } from '../../src/pages/app-page.js';
import { pageHeaders } from '../../src/pages/page.js';
import { atMs, factsOf } from '../explanation/examples.js';
import { outRule, settings, steady } from '../evaluation/examples.js';
import { listenOnLoopback } from '../support/listen.js';

/* What a real browser makes of a page, where one is installed. */

const browser = ['chromium', 'chromium-browser', 'google-chrome'].find(
  (name) => spawnSync(name, ['--version']).status === 0,
);
const whereInstalled = browser === undefined ? test.skip : test;

const evil = `<script>document.title = 'taken over'</script>`;
const rule = { ...outRule, metricType: evil };
const page = appPage({
  explanation: explain(factsOf([rule], { [evil]: steady(90n) }), settings),
  points: new Map([[evil, [{ atMs, value: 90 }]]]),
  fromMs: atMs - 1_000,
  changes: [{ atMs, from: null, to: 'fired', text: evil }],
  collectionIntervalMs: 40_000,
});
/** The same page under a policy that does not know its style. */
const strange = { ...pageHeaders, 'content-security-policy': "default-src 'none'" };

let server: Server;
let url: string;
let profile: string;
beforeAll(async () => {
  server = createServer((request, response) => {
    const isPage = request.url === '/page' || request.url === '/strange';
    response.writeHead(isPage ? 200 : 404, request.url === '/strange' ? strange : pageHeaders);
    response.end(isPage ? page : '');
  });
  url = `http://127.0.0.1:${await listenOnLoopback(server)}`;
  profile = await mkdtemp(join(tmpdir(), 'eventgenerator-browser-'));
});
afterAll(async () => {
  server.close();
  // The last of its processes may be about to end.
  await rm(profile, { recursive: true, force: true, maxRetries: 10 });
});

/** The document as the browser understood it, and what it complained about. */
async function opened(path: string): Promise<{ document: string; complaints: string[] }> {
  const options = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'];
  const { stdout, stderr } = await promisify(execFile)(browser ?? '', [
    ...options,
    `--user-data-dir=${profile}`,
    '--enable-logging=stderr',
    '--dump-dom',
    url + path,
  ]);
  return { document: stdout, complaints: stderr.split('\n').filter((line) => line.includes('CONSOLE')) };
}

whereInstalled('a browser applies the style of a page, and runs nothing that tenants wrote', async () => {
  const { document, complaints } = await opened('/page');
  expect(complaints).toEqual([]);
  expect(document).toContain('<svg');
  expect(document).toMatch(/<title>App app<\/title>/);
  expect((await opened('/strange')).complaints.join()).toContain('Content Security Policy');
});
