import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { Agent, METHODS } from 'node:http';
import { connect as netConnect, createServer as createNetServer, type AddressInfo } from 'node:net';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { getRoute } from '../../src/http/get-route.js';
import type { ServerTls } from '../../src/http/server-tls.js';
import {
  createServers,
  type Servers,
  type ServersConfig,
  type ServersOptions,
} from '../../src/http/servers.js';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  createCertificateAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import {
  appMetric,
  ask,
  basic,
  cloudFoundryConfig,
  fakeHistory,
  historyOf,
  recordingLogger,
  serversDeps,
  virtualMachineConfig,
} from './support.js';

const historyPath = '/v1/apps/app-1/aggregated_metric_histories/cpu';
/** Says that key, certificate and CA are configured; the material comes from a ServerCertificate. */
const tls = { key: { file: 'k' }, cert: { file: 'c' }, ca: { file: 'a' } };
const withoutCa = { ...tls, ca: null };

let authority: CertificateAuthority;
let server: IssuedCertificate;
let client: IssuedCertificate;
beforeAll(async () => {
  authority = await createCertificateAuthority();
  server = await authority.issue({ commonName: 'eventgenerator', ipAddresses: ['127.0.0.1'] });
  client = await authority.issue({
    commonName: 'guid',
    organizationalUnits: ['organization:o', 'space:s', 'app:a'],
  });
});

const started: Servers[] = [];
afterEach(async () => {
  await Promise.all(started.splice(0).map((servers) => servers.close()));
});

async function start(config: ServersConfig, overrides: Partial<ServersOptions> = {}) {
  const servers = createServers(config, serversDeps(overrides));
  started.push(servers);
  await servers.listen('127.0.0.1');
  const port = (name: 'api' | 'cf' | 'health') => servers.addresses()[name]?.port ?? NaN;
  return { servers, port };
}

/** TLS material that a test can replace. */
function replaceable<T>(first: T) {
  let current = first;
  const listeners = new Set<() => void>();
  return {
    listeners,
    renewable: {
      current: () => current,
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    replace(next: T) {
      current = next;
      for (const listener of listeners) listener();
    },
  };
}

function serverTls(clientCa: string | null): ServerTls {
  return {
    keyPair: replaceable(server).renewable,
    clientCa: clientCa === null ? null : fixedAuthorities([clientCa]),
  };
}

function xfcc(certificate: IssuedCertificate) {
  return { 'x-forwarded-client-cert': new X509Certificate(certificate.cert).raw.toString('base64') };
}

describe('on Cloud Foundry', () => {
  test('one listener serves the API behind XFCC and health beside it', async () => {
    const basicAuth = { username: { plain: 'u' }, password: { plain: 'p' } };
    const { servers, port } = await start(
      cloudFoundryConfig({ health: { basicAuth, readinessEnabled: true } }),
      { history: historyOf([appMetric()]) },
    );
    expect(Object.keys(servers.addresses())).toEqual(['cf']);
    const url = `http://127.0.0.1:${port('cf')}`;
    const statuses = async (headers: Record<string, string>) =>
      Object.fromEntries(
        await Promise.all(
          [
            historyPath,
            '/v1/liveness',
            '/',
            '/v1/nothing',
            '/health/liveness',
            '/health/readiness',
            '/health',
            '/health/x',
            '/metrics',
          ].map(async (path) => [path, (await ask(url + path, { headers })).status] as const),
        ),
      );
    const health = { '/health/liveness': 200, '/health/readiness': 200 };
    expect(await statuses({})).toEqual({
      ...health,
      [historyPath]: 401,
      '/v1/liveness': 401,
      '/': 401,
      '/v1/nothing': 401,
      '/health': 401,
      '/health/x': 401,
      '/metrics': 401,
    });
    expect(await statuses({ ...xfcc(client), ...basic('u', 'p') })).toEqual({
      ...health,
      [historyPath]: 200,
      '/v1/liveness': 200,
      '/': 404,
      '/v1/nothing': 404,
      '/health': 200,
      '/health/x': 200,
      '/metrics': 200,
    });
  });

  test('a refused certificate is answered as in Go, whatever the method', async () => {
    const { port } = await start(cloudFoundryConfig());
    const url = `http://127.0.0.1:${port('cf')}${historyPath}`;
    for (const options of [{}, { method: 'POST' }, { headers: { 'x-forwarded-client-cert': 'garbage' } }]) {
      const answer = await ask(url, options);
      expect(answer).toMatchObject({ status: 401, body: 'Unauthorized\n' });
      expect(answer.headers['content-type']).toBe('text/plain; charset=utf-8');
    }
  });

  test('several headers are refused, also if each would be right', async () => {
    const { port } = await start(cloudFoundryConfig());
    const [value] = Object.values(xfcc(client));
    const answer = await ask(`http://127.0.0.1:${port('cf')}/v1/liveness`, {
      headers: { 'X-Forwarded-Client-Cert': [value, value] as unknown as string },
    });
    expect(answer.status).toBe(401);
  });

  test('the org comes from the configuration; without one everything is refused', async () => {
    const logger = recordingLogger();
    const config = cloudFoundryConfig();
    const { port } = await start(
      {
        ...config,
        cfServer: { ...config.cfServer, xfcc: { validOrgGuid: '', validSpaceGuid: '', ca: null } },
      },
      { logger },
    );
    expect((await ask(`http://127.0.0.1:${port('cf')}/v1/liveness`, { headers: xfcc(client) })).status).toBe(
      401,
    );
    expect(logger.lines.map(({ data }) => data['risk'])).toContainEqual(
      expect.stringContaining('valid_org_guid'),
    );
  });

  test('with a CA configured only its certificates are accepted', async () => {
    const config = cloudFoundryConfig();
    const xfccConfig = { ...config.cfServer.xfcc, ca: { file: 'x' } };
    const logger = recordingLogger();
    const issuers = replaceable([authority.cert]);
    const deps = { xfccIssuers: issuers.renewable, logger };
    const { servers, port } = await start(
      { ...config, cfServer: { ...config.cfServer, xfcc: xfccConfig } },
      deps,
    );
    const impostor = await (
      await createCertificateAuthority('Instance identity')
    ).issue({
      commonName: 'guid',
      organizationalUnits: ['organization:o'],
    });
    const url = `http://127.0.0.1:${port('cf')}/v1/liveness`;
    expect((await ask(url, { headers: xfcc(client) })).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await ask(url, { headers: xfcc(impostor) })).status).toBe(401);
    const lines = logger.lines.filter(({ event }) => event === 'http.cf.xfcc-issuer-unknown');
    expect(lines).toMatchObject([{ level: 'error', data: { issuer: 'CN=Instance identity' } }]);
    issuers.replace([(await createCertificateAuthority()).cert]);
    expect((await ask(url, { headers: xfcc(client) })).status).toBe(401);
    issuers.replace([authority.cert]);
    expect((await ask(url, { headers: xfcc(client) })).status).toBe(200);
    await servers.close();
    expect(issuers.listeners.size).toBe(0);
  });

  test('further routes stand behind the same authentication', async () => {
    const { port } = await start(cloudFoundryConfig(), {
      apiModules: [(app) => getRoute(app, '/v1/members', async () => [])],
    });
    const url = `http://127.0.0.1:${port('cf')}/v1/members`;
    expect((await ask(url)).status).toBe(401);
    expect(await ask(url, { headers: xfcc(client) })).toMatchObject({ status: 200, body: '[]' });
  });
});

describe('on a VM', () => {
  test('three listeners; without TLS they work, and the log names the risks', async () => {
    const logger = recordingLogger();
    const { servers, port } = await start(virtualMachineConfig(), { logger });
    expect(Object.keys(servers.addresses())).toEqual(['api', 'cf', 'health']);
    expect(await ask(`http://127.0.0.1:${port('api')}${historyPath}`)).toMatchObject({
      status: 200,
      body: '[]',
    });
    expect((await ask(`http://127.0.0.1:${port('api')}/nothing`)).status).toBe(404);
    expect((await ask(`http://127.0.0.1:${port('cf')}/v1/liveness`)).status).toBe(401);
    expect((await ask(`http://127.0.0.1:${port('cf')}/health/liveness`)).status).toBe(401);
    expect((await ask(`http://127.0.0.1:${port('health')}/health/liveness`)).status).toBe(200);
    expect((await ask(`http://127.0.0.1:${port('health')}/anything`)).body).toContain('# HELP');
    const warnings = logger.lines.filter(({ event }) => event === 'http.insecure-setting');
    expect(warnings.map(({ data }) => data['server'])).toEqual(['api', 'cf', 'health']);
  });

  test('an unknown path is a JSON 404', async () => {
    const { port } = await start(virtualMachineConfig());
    const answer = await ask(`http://127.0.0.1:${port('api')}/v1/apps/a/b`, { method: 'POST', payload: 'x' });
    expect(answer.status).toBe(404);
    expect(answer.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(JSON.parse(answer.body)).toEqual({ code: 'Not-Found', message: 'There is nothing at this path' });
  });

  test('the API server demands a client certificate of its CA', async () => {
    const { port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls } }), {
      tls: { api: serverTls(authority.cert) },
    });
    const url = `https://127.0.0.1:${port('api')}/v1/liveness`;
    const ca = authority.cert;
    const stranger = await (await createCertificateAuthority()).issue({ commonName: 'stranger' });
    const expired = await authority.issue({ commonName: 'late', notAfter: new Date(Date.now() - 1000) });
    expect((await ask(url, { ca, key: client.key, cert: client.cert })).status).toBe(200);
    for (const credentials of [
      {},
      { key: stranger.key, cert: stranger.cert },
      { key: expired.key, cert: expired.cert },
    ]) {
      await expect(ask(url, { ca, ...credentials })).rejects.toThrow(/certificate|alert|ECONNRESET|hang up/);
    }
    await expect(ask(url.replace('https', 'http'))).rejects.toThrow();
    await expect(
      ask(url, { ca, key: client.key, cert: client.cert, maxVersion: 'TLSv1.1', minVersion: 'TLSv1' }),
    ).rejects.toThrow();
    expect((await ask(url, { ca, key: client.key, cert: client.cert, maxVersion: 'TLSv1.2' })).status).toBe(
      200,
    );
  });

  test('a server without a CA asks for no client certificate, and the log names the risk', async () => {
    const logger = recordingLogger();
    const { port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls: withoutCa } }), {
      tls: { api: serverTls(null) },
      logger,
    });
    expect((await ask(`https://127.0.0.1:${port('api')}/v1/liveness`, { ca: authority.cert })).status).toBe(
      200,
    );
    expect(logger.lines[0]?.data['risk']).toContain('server.tls.ca_file');
  });

  test('the health server speaks TLS where it is configured', async () => {
    const { port } = await start(virtualMachineConfig({ healthServer: { port: 0, tls: withoutCa } }), {
      tls: { health: serverTls(null) },
    });
    const url = `https://127.0.0.1:${port('health')}/health/liveness`;
    expect((await ask(url, { ca: authority.cert })).status).toBe(200);
  });

  test('a renewed certificate is used for new connections; a broken one is not', async () => {
    const logger = recordingLogger();
    const source = replaceable<{ key: string; cert: string }>(server);
    const { servers, port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls } }), {
      tls: { api: { keyPair: source.renewable, clientCa: fixedAuthorities([authority.cert]) } },
      logger,
    });
    const serial = async () => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port: port('api'),
        ca: authority.cert,
        key: client.key,
        cert: client.cert,
      });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const before = await serial();
    source.replace({ key: 'broken', cert: 'broken' });
    expect(await serial()).toBe(before);
    source.replace(await authority.issue({ commonName: 'renewed', ipAddresses: ['127.0.0.1'] }));
    expect(await serial()).not.toBe(before);
    expect(logger.lines.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['http.api.certificate-unusable', 'http.api.certificate-renewed']),
    );
    await expect(
      ask(`https://127.0.0.1:${port('api')}/v1/liveness`, { ca: authority.cert }),
    ).rejects.toThrow();
    await servers.close();
    expect(source.listeners.size).toBe(0);
  });

  test('configured TLS without its material is an error of whoever builds the servers', () => {
    const config = virtualMachineConfig({ apiServer: { port: 0, tls } });
    expect(() => createServers(config, serversDeps())).toThrow('tls.api');
  });
});

test('requests leave no line at info level, answered or refused', async () => {
  const logger = recordingLogger();
  const { port } = await start(virtualMachineConfig(), { logger });
  const before = logger.lines.length;
  for (const path of [historyPath, `${historyPath}?start=x`, '/nothing', '/v1/liveness']) {
    await ask(`http://127.0.0.1:${port('api')}${path}`);
    await ask(`http://127.0.0.1:${port('cf')}${path}`);
  }
  expect(new Set(logger.lines.slice(before).map(({ level, event }) => `${level} ${event}`))).toEqual(
    new Set(['debug http.cf.xfcc-refused']),
  );
});

describe('every method but GET', () => {
  const methods = METHODS.filter((method) => !['GET', 'HEAD', 'CONNECT'].includes(method));
  const basicAuth = { username: { plain: 'u' }, password: { plain: 'p' } };

  test('is answered with 405 and our own body, after authentication, on every listener', async () => {
    const { port } = await start(virtualMachineConfig({ health: { basicAuth, readinessEnabled: true } }));
    const paths = [
      ['api', historyPath, {}],
      ['api', '/v1/liveness', {}],
      ['cf', historyPath, xfcc(client)],
      ['health', '/health', basic('u', 'p')],
      ['health', '/any/path', basic('u', 'p')],
      ['health', '/debug/pprof/profile', basic('u', 'p')],
      ['health', '/health/liveness', {}],
      ['health', '/health/readiness', {}],
    ] as const;
    for (const [name, path, headers] of paths) {
      const url = `http://127.0.0.1:${port(name)}${path}`;
      for (const method of methods) {
        const answer = await ask(url, { method, headers });
        expect([method, path, answer.status, JSON.parse(answer.body)]).toEqual([
          ...[method, path, 405],
          { code: 'Method-Not-Allowed', message: expect.stringContaining(`${method} is not allowed here`) },
        ]);
        expect(answer.headers['cache-control']).toBe('no-store');
        if (Object.keys(headers).length > 0) expect((await ask(url, { method })).status).toBe(401);
      }
    }
  });

  test('is 404 at a path where nothing is', async () => {
    const { port } = await start(virtualMachineConfig());
    for (const method of methods) {
      const answer = await ask(`http://127.0.0.1:${port('api')}/nothing`, { method });
      expect([method, answer.status]).toEqual([method, 404]);
      expect(JSON.parse(answer.body)).toEqual({
        code: 'Not-Found',
        message: 'There is nothing at this path',
      });
    }
  });
});

describe('life', () => {
  test('nothing listens before listen and after close; both may be repeated', async () => {
    const servers = createServers(virtualMachineConfig(), serversDeps());
    expect(servers.addresses()).toEqual({});
    await servers.close();
    await servers.close();
    const { servers: others } = await start(virtualMachineConfig());
    await others.close();
    expect(others.addresses()).toEqual({});
  });

  test('a port that is taken is named with its key, and no other server stays behind', async () => {
    const occupant = createNetServer().listen(0, '127.0.0.1');
    await once(occupant, 'listening');
    const { port } = occupant.address() as AddressInfo;
    const noTls = { key: null, cert: null, ca: null };
    const servers = createServers(
      virtualMachineConfig({ healthServer: { port, tls: noTls } }),
      serversDeps(),
    );
    await expect(servers.listen('127.0.0.1')).rejects.toThrow(
      `The health server cannot listen on port ${port} (EADDRINUSE): ` +
        'free the port, or configure another one as health.server_config.port',
    );
    expect(servers.addresses()).toEqual({});
    occupant.close();
  });

  test('without a host it listens on every interface', async () => {
    const servers = createServers(cloudFoundryConfig(), serversDeps());
    started.push(servers);
    await servers.listen();
    expect(['::', '0.0.0.0']).toContain(servers.addresses().cf?.address);
    expect((await ask(`http://127.0.0.1:${servers.addresses().cf?.port}/health/liveness`)).status).toBe(200);
  });

  test('requests being answered are counted', async () => {
    const metrics = createMetrics();
    let answer = () => {};
    const asked = new Promise<void>((reached) => {
      void start(virtualMachineConfig(), {
        metrics,
        history: fakeHistory(async function* () {
          reached();
          await new Promise<void>((resolve) => (answer = resolve));
          yield [];
        }),
      }).then(({ port }) => ask(`http://127.0.0.1:${port('api')}${historyPath}`));
    });
    const counted = async () => (await metrics.concurrentHttpRequests.get()).values[0]?.value;
    await asked;
    expect(await counted()).toBe(1);
    answer();
    while ((await counted()) !== 0) await new Promise((resolve) => setImmediate(resolve));
  });

  test('close lets an answer end and ends idle connections at once', async () => {
    let answer = () => {};
    let reached = () => {};
    const asked = new Promise<void>((resolve) => (reached = resolve));
    const { servers, port } = await start(virtualMachineConfig(), {
      history: fakeHistory(async function* () {
        reached();
        await new Promise<void>((resolve) => (answer = resolve));
        yield [appMetric()];
      }),
      limits: { closeDeadlineMs: 60_000 },
    });
    const agent = new Agent({ keepAlive: true });
    const url = `http://127.0.0.1:${port('api')}`;
    await ask(`${url}/v1/liveness`, { agent });
    const answering = ask(url + historyPath, { agent });
    const keptAlive = netConnect(port('health'), '127.0.0.1');
    keptAlive.write('GET /health/liveness HTTP/1.1\r\nHost: x\r\n\r\n');
    await once(keptAlive, 'data');
    await asked;
    const closing = servers.close();
    await once(keptAlive, 'close');
    answer();
    expect((await answering).status).toBe(200);
    await closing;
    agent.destroy();
  });

  test('close is bounded, whatever clients do', async () => {
    const hanging = {
      limits: { closeDeadlineMs: 50 },
      history: fakeHistory(() => ({
        [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}) }),
      })),
    };
    const { servers, port } = await start(
      virtualMachineConfig({ healthServer: { port: 0, tls: withoutCa } }),
      {
        ...hanging,
        tls: { health: serverTls(null) },
      },
    );
    const broken = expect(ask(`http://127.0.0.1:${port('api')}${historyPath}`)).rejects.toThrow();
    const silent = netConnect(port('api'), '127.0.0.1').on('error', () => {});
    const noHandshake = netConnect(port('health'), '127.0.0.1').on('error', () => {});
    await Promise.all([once(silent, 'connect'), once(noHandshake, 'connect')]);
    await servers.close();
    await broken;
    silent.destroy();
    noHandshake.destroy();
  });
});
