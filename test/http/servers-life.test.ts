import { once } from 'node:events';
import { Agent } from 'node:http';
import { connect as netConnect, createServer as createNetServer } from 'node:net';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { Servers } from '../../src/http/servers.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { listenOnLoopback } from '../support/listen.js';
import {
  closeLater,
  closeServers,
  historyPath,
  issueCertificates,
  serverTls,
  start,
  withoutCa,
} from './servers-scene.js';
import {
  appMetric,
  ask,
  cloudFoundryConfig,
  fakeHistory,
  serversDeps,
  virtualMachineConfig,
} from './support.js';

let certificates: Awaited<ReturnType<typeof issueCertificates>>;
beforeAll(async () => void (certificates = await issueCertificates()));
afterEach(closeServers);

describe('life', () => {
  test('nothing listens before listen and after close; both may be repeated', async () => {
    const servers = new Servers(virtualMachineConfig(), serversDeps());
    expect(servers.addresses()).toEqual({});
    await servers.close();
    await servers.close();
    const { servers: others } = await start(virtualMachineConfig());
    await others.close();
    expect(others.addresses()).toEqual({});
  });

  test('a port that is taken is named with its key, and no other server stays behind', async () => {
    const occupant = createNetServer();
    const port = await listenOnLoopback(occupant);
    const noTls = { key: null, cert: null, ca: null };
    const servers = new Servers(virtualMachineConfig({ healthServer: { port, tls: noTls } }), serversDeps());
    await expect(servers.listen('127.0.0.1')).rejects.toThrow(
      `The health server cannot listen on port ${port} (EADDRINUSE): ` +
        'free the port, or configure another one as health.server_config.port',
    );
    expect(servers.addresses()).toEqual({});
    occupant.close();
  });

  test('without a host it listens on every interface', async () => {
    const servers = closeLater(new Servers(cloudFoundryConfig(), serversDeps()));
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
        tls: { health: serverTls(certificates.server, null) },
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
