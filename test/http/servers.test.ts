import { once } from 'node:events';
import { connect as tlsConnect } from 'node:tls';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { getRoute } from '../../src/http/get-route.js';
import { Servers } from '../../src/http/servers.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import {
  closeServers,
  historyPath,
  issueCertificates,
  replaceable,
  serverTls,
  start,
  tls,
  withoutCa,
  xfcc,
} from './servers-scene.js';
import {
  appMetric,
  ask,
  basic,
  cloudFoundryConfig,
  historyOf,
  recordingLogger,
  serversDeps,
  virtualMachineConfig,
} from './support.js';

let certificates: Awaited<ReturnType<typeof issueCertificates>>;
beforeAll(async () => void (certificates = await issueCertificates()));
afterEach(closeServers);

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
    expect(await statuses({ ...xfcc(certificates.client), ...basic('u', 'p') })).toEqual({
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
    const [value] = Object.values(xfcc(certificates.client));
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
    expect(
      (await ask(`http://127.0.0.1:${port('cf')}/v1/liveness`, { headers: xfcc(certificates.client) }))
        .status,
    ).toBe(401);
    expect(logger.lines.map(({ data }) => data['risk'])).toContainEqual(
      expect.stringContaining('valid_org_guid'),
    );
  });

  test('with a CA configured only its certificates are accepted', async () => {
    const config = cloudFoundryConfig();
    const xfccConfig = { ...config.cfServer.xfcc, ca: { file: 'x' } };
    const logger = recordingLogger();
    const issuers = replaceable([certificates.authority.cert]);
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
    expect((await ask(url, { headers: xfcc(certificates.client) })).status).toBe(200);
    for (let i = 0; i < 3; i++) expect((await ask(url, { headers: xfcc(impostor) })).status).toBe(401);
    const lines = logger.lines.filter(({ event }) => event === 'http.cf.xfcc-issuer-unknown');
    expect(lines).toMatchObject([{ level: 'error', data: { issuer: 'CN=Instance identity' } }]);
    issuers.replace([(await createCertificateAuthority()).cert]);
    expect((await ask(url, { headers: xfcc(certificates.client) })).status).toBe(401);
    issuers.replace([certificates.authority.cert]);
    expect((await ask(url, { headers: xfcc(certificates.client) })).status).toBe(200);
    await servers.close();
    expect(issuers.listeners.size).toBe(0);
  });

  test('further routes stand behind the same authentication', async () => {
    const { port } = await start(cloudFoundryConfig(), {
      apiModules: [(app) => getRoute(app, '/v1/members', async () => [])],
    });
    const url = `http://127.0.0.1:${port('cf')}/v1/members`;
    expect((await ask(url)).status).toBe(401);
    expect(await ask(url, { headers: xfcc(certificates.client) })).toMatchObject({ status: 200, body: '[]' });
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
      tls: { api: serverTls(certificates.server, certificates.authority.cert) },
    });
    const url = `https://127.0.0.1:${port('api')}/v1/liveness`;
    const ca = certificates.authority.cert;
    const stranger = await (await createCertificateAuthority()).issue({ commonName: 'stranger' });
    const expired = await certificates.authority.issue({
      commonName: 'late',
      notAfter: new Date(Date.now() - 1000),
    });
    expect(
      (await ask(url, { ca, key: certificates.client.key, cert: certificates.client.cert })).status,
    ).toBe(200);
    for (const credentials of [
      {},
      { key: stranger.key, cert: stranger.cert },
      { key: expired.key, cert: expired.cert },
    ]) {
      await expect(ask(url, { ca, ...credentials })).rejects.toThrow(/certificate|alert|ECONNRESET|hang up/);
    }
    await expect(ask(url.replace('https', 'http'))).rejects.toThrow();
    await expect(
      ask(url, {
        ca,
        key: certificates.client.key,
        cert: certificates.client.cert,
        maxVersion: 'TLSv1.1',
        minVersion: 'TLSv1',
      }),
    ).rejects.toThrow();
    expect(
      (
        await ask(url, {
          ca,
          key: certificates.client.key,
          cert: certificates.client.cert,
          maxVersion: 'TLSv1.2',
        })
      ).status,
    ).toBe(200);
  });

  test('a server without a CA asks for no client certificate, and the log names the risk', async () => {
    const logger = recordingLogger();
    const { port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls: withoutCa } }), {
      tls: { api: serverTls(certificates.server, null) },
      logger,
    });
    expect(
      (await ask(`https://127.0.0.1:${port('api')}/v1/liveness`, { ca: certificates.authority.cert })).status,
    ).toBe(200);
    expect(logger.lines[0]?.data['risk']).toContain('server.tls.ca_file');
  });

  test('the health server speaks TLS where it is configured', async () => {
    const { port } = await start(virtualMachineConfig({ healthServer: { port: 0, tls: withoutCa } }), {
      tls: { health: serverTls(certificates.server, null) },
    });
    const url = `https://127.0.0.1:${port('health')}/health/liveness`;
    expect((await ask(url, { ca: certificates.authority.cert })).status).toBe(200);
  });

  test('a client CA certificate needs no root, at the start and after it was replaced', async () => {
    const issuers = await Promise.all(['A', 'B'].map((name) => certificates.authority.intermediate(name)));
    const clients = await Promise.all(issuers.map((issuer) => issuer.issue({ commonName: 'client' })));
    const [first, second] = issuers.map(({ cert }) => [cert]) as [string[], string[]];
    const source = replaceable<readonly string[]>(first);
    const keyPair = replaceable(certificates.server).renewable;
    const { port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls } }), {
      tls: { api: { keyPair, clientCa: source.renewable } },
    });
    /** The statuses that the clients of the two issuers get. */
    const statuses = () =>
      Promise.all(
        clients.map(({ key, cert }) =>
          ask(`https://127.0.0.1:${port('api')}/v1/liveness`, {
            ca: certificates.authority.cert,
            key,
            cert,
          }).then(
            ({ status }) => status,
            () => 'rejected',
          ),
        ),
      );
    expect(await statuses()).toEqual([200, 'rejected']);
    source.replace(second);
    expect(await statuses()).toEqual(['rejected', 200]);
  });

  test('a renewed certificate is used for new connections; a broken one is not', async () => {
    const logger = recordingLogger();
    const source = replaceable<{ key: string; cert: string }>(certificates.server);
    const { servers, port } = await start(virtualMachineConfig({ apiServer: { port: 0, tls } }), {
      tls: { api: { keyPair: source.renewable, clientCa: fixedAuthorities([certificates.authority.cert]) } },
      logger,
    });
    const serial = async () => {
      const socket = tlsConnect({
        host: '127.0.0.1',
        port: port('api'),
        ca: certificates.authority.cert,
        key: certificates.client.key,
        cert: certificates.client.cert,
      });
      await once(socket, 'secureConnect');
      const { serialNumber } = socket.getPeerCertificate();
      socket.destroy();
      return serialNumber;
    };
    const before = await serial();
    source.replace({ key: 'broken', cert: 'broken' });
    expect(await serial()).toBe(before);
    source.replace(await certificates.authority.issue({ commonName: 'renewed', ipAddresses: ['127.0.0.1'] }));
    expect(await serial()).not.toBe(before);
    expect(logger.lines.map(({ event }) => event)).toEqual(
      expect.arrayContaining(['http.api.certificate-unusable', 'http.api.certificate-renewed']),
    );
    await expect(
      ask(`https://127.0.0.1:${port('api')}/v1/liveness`, { ca: certificates.authority.cert }),
    ).rejects.toThrow();
    await servers.close();
    expect(source.listeners.size).toBe(0);
  });

  test('configured TLS without its material is an error of whoever builds the servers', () => {
    const config = virtualMachineConfig({ apiServer: { port: 0, tls } });
    expect(() => new Servers(config, serversDeps())).toThrow('tls.api');
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
