import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { connect as tlsConnect, type ConnectionOptions } from 'node:tls';
import { promisify } from 'node:util';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { apiRoutes } from '../../src/http/api-routes.js';
import { systemClock } from '../../src/util/clock.js';
import { defaultLimits, type ServerLimits } from '../../src/http/limits.js';
import { type Listener } from '../../src/http/listener.js';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  createCertificateAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../support/certificates.js';
import { eventually } from '../support/eventually.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';
import { ask, historyOf, testListener } from './support.js';
import { counted } from '../support/counted.js';

let authority: CertificateAuthority;
let server: IssuedCertificate;
let client: IssuedCertificate;
beforeAll(async () => {
  authority = await createCertificateAuthority();
  server = await authority.issue({ commonName: 'eventgenerator', ipAddresses: ['127.0.0.1'] });
  client = await authority.issue({ commonName: 'client' });
});

const open: Listener[] = [];
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await Promise.all(open.splice(0).map((listener) => listener.close()));
});

type Protocol = 'http' | 'https' | 'mutual TLS';

interface Scene {
  readonly port: number;
  readonly recording: Recording;
  readonly metrics: ReturnType<typeof createMetrics>;
  connections(): Promise<number>;
  /** The status of an answer to a client that does everything right. */
  status(): Promise<number>;
  /** The connection of such a client after its answer. */
  askAndStay(): Promise<Socket>;
}

async function start(protocol: Protocol, limits: Partial<ServerLimits> = {}): Promise<Scene> {
  const metrics = createMetrics();
  const recording = recordingLogger();
  const keyPair = { current: () => server, onChange: () => () => {} };
  const clientCa = protocol === 'mutual TLS' ? fixedAuthorities([authority.cert]) : null;
  const listener = testListener({
    logger: recording.logger,
    metrics,
    limits: { ...defaultLimits, checkIntervalMs: 10, ...limits },
    tls: protocol === 'http' ? null : { keyPair, clientCa },
  });
  open.push(listener);
  apiRoutes({ history: historyOf(), clock: systemClock, logger: recording.logger })(listener.app);
  await listener.listen('127.0.0.1');
  const port = listener.address()?.port ?? NaN;
  const scheme = protocol === 'http' ? 'http' : 'https';
  const { key, cert } = client;
  const credentials = { ca: authority.cert, key, cert };
  return {
    port,
    recording,
    metrics,
    connections: () => promisify<number>(listener.app.server.getConnections.bind(listener.app.server))(),
    status: async () => (await ask(`${scheme}://127.0.0.1:${port}/v1/liveness`, credentials)).status,
    async askAndStay() {
      const to = { port, host: '127.0.0.1' };
      const socket = protocol === 'http' ? connect(to) : tlsConnect({ ...to, ...credentials });
      sockets.push(socket);
      socket.write('GET /v1/liveness HTTP/1.1\r\nHost: x\r\n\r\n');
      await once(socket, 'data');
      return socket;
    },
  };
}

/** A connection that says only this, and resolves when the server has ended it. */
async function say(port: number, text: string | Buffer): Promise<Socket> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  sockets.push(socket);
  await once(socket, 'connect');
  if (text.length > 0) socket.write(text);
  return socket;
}

async function ended(socket: Socket): Promise<void> {
  socket.resume();
  // Not `once` of node:events, which rejects on an error.
  if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
}

/** The first bytes of a handshake of TLS 1.2 that announce more to come. */
const beginOfHandshake = Buffer.from([22, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]);

describe.each(['https', 'mutual TLS'] as const)('a listener with %s', (protocol) => {
  test.each([
    ['nothing', ''],
    ['the begin of a handshake', beginOfHandshake],
  ])('ends a connection that sends %s when the handshake takes too long', async (_name, text) => {
    const scene = await start(protocol, { handshakeTimeoutMs: 50 });
    const silent = await Promise.all(Array.from({ length: 20 }, () => say(scene.port, text)));
    await Promise.all(silent.map(ended));
    await eventually('no connection left', async () => (await scene.connections()) === 0);
    expect(await counted(scene.metrics.tlsHandshakesRefused)).toEqual({ timeout: 20 });
    const lines = scene.recording.lines.filter(({ event }) => event === 'handshake-refused');
    expect(lines).toMatchObject([
      { level: 'error', data: { reason: 'timeout', code: 'ERR_TLS_HANDSHAKE_TIMEOUT' } },
    ]);
  });

  test.each([
    ['plain HTTP', 'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 'plain-http'],
    ['no protocol that is known', 'Hello, is anybody there? '.repeat(20), 'protocol'],
  ])('ends a connection that speaks %s at once', async (_name, text, reason) => {
    const scene = await start(protocol);
    await ended(await say(scene.port, text));
    expect(await counted(scene.metrics.tlsHandshakesRefused)).toEqual({ [reason]: 1 });
    await scene.recording.until('handshake-refused', ({ data }) => data['reason'] === reason);
  });

  test('passes over a connection that leaves without a word', async () => {
    const scene = await start(protocol);
    (await say(scene.port, '')).end();
    await scene.recording.until('handshake-broken-off');
    expect(await counted(scene.metrics.tlsHandshakesRefused)).toEqual({ closed: 1 });
    expect(scene.recording.lines.map(({ level }) => level)).toEqual(['debug']);
  });
});

describe('client certificates that are refused', () => {
  async function connectWith(scene: Scene, credentials: ConnectionOptions): Promise<void> {
    const socket = tlsConnect({ port: scene.port, host: '127.0.0.1', ca: authority.cert, ...credentials });
    sockets.push(socket.on('error', () => {}));
    await ended(socket);
  }

  test.each(['TLSv1.2', 'TLSv1.3'] as const)(
    'are logged with the reason and counted, %s',
    async (maxVersion) => {
      const scene = await start('mutual TLS');
      const other = await createCertificateAuthority('Other CA');
      const stranger = await other.issue({ commonName: 'stranger' });
      const expired = await authority.issue({ commonName: 'late', notAfter: new Date(Date.now() - 1000) });
      for (const { key, cert } of [stranger, expired, { key: undefined, cert: undefined }]) {
        await connectWith(scene, { maxVersion, key, cert });
        await connectWith(scene, { maxVersion, key, cert });
      }
      expect(await counted(scene.metrics.tlsHandshakesRefused)).toEqual({ 'client-certificate': 6 });
      const lines = scene.recording.lines.filter(({ event }) => event === 'handshake-refused');
      expect(lines.map(({ data }) => data['code'])).toEqual([
        'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
        'CERT_HAS_EXPIRED',
        'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE',
      ]);
    },
  );
});

test.each([
  ['TLSv1.2', 'ECDHE-ECDSA-AES128-GCM-SHA256', 'ECDHE-ECDSA-AES128-GCM-SHA256'],
  ['TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305', 'ECDHE-ECDSA-CHACHA20-POLY1305'],
  ['TLSv1.2', 'ECDHE-ECDSA-AES128-SHA256', 'refused'],
  ['TLSv1.2', 'ECDHE-ECDSA-AES256-SHA', 'refused'],
  ['TLSv1.3', 'TLS_AES_128_GCM_SHA256', 'TLS_AES_128_GCM_SHA256'],
] as const)('%s with %s: %s', async (version, ciphers, expected) => {
  const { port } = await start('https');
  const options = { minVersion: version, maxVersion: version, ciphers, ca: authority.cert };
  const socket = tlsConnect({ port, host: '127.0.0.1', ...options });
  sockets.push(socket);
  const outcome = await once(socket, 'secureConnect').then(
    () => socket.getCipher().name,
    () => 'refused',
  );
  expect(outcome).toBe(expected);
});

/** Whether the kernel has a timer for keep-alive on each connection of a local port. A column of proc(5) says so. */
async function areKeptAlive(port: number): Promise<boolean> {
  const keepAliveTimer = '02';
  const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const established = (await readFile('/proc/self/net/tcp', 'utf8'))
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, address, , state]) => address === local && state === '01');
  return (
    established.length > 0 && established.every(([, , , , , timer]) => timer?.startsWith(keepAliveTimer))
  );
}

test.each(['http', 'https', 'mutual TLS'] as const)(
  'the kernel finds out when the peer of a connection is gone, %s',
  async (protocol) => {
    const scene = await start(protocol);
    await scene.askAndStay();
    await eventually('keep-alive', () => areKeptAlive(scene.port));
  },
);

describe.each(['http', 'mutual TLS'] as const)('with as many connections as are allowed, %s:', (protocol) => {
  test('one that has asked nothing ends for another', async () => {
    const scene = await start(protocol, { maxConnections: 3 });
    const silent = [];
    for (let i = 0; i < 3; i++) silent.push(await say(scene.port, ''));
    expect(await scene.status()).toBe(200);
    await ended(silent[0] as Socket);
    expect(silent.slice(1).map(({ destroyed }) => destroyed)).toEqual([false, false]);
    const { level } = await scene.recording.until('connections-turned-away');
    expect(level).toBe('error');
    expect((await scene.metrics.connectionsTurnedAway.get()).values).toMatchObject([{ value: 1 }]);
  });

  test('another is turned away where all have asked', async () => {
    const scene = await start(protocol, { maxConnections: 2 });
    const first = await scene.askAndStay();
    const second = await scene.askAndStay();
    await expect(scene.status()).rejects.toThrow();
    expect([first, second].map(({ destroyed }) => destroyed)).toEqual([false, false]);
    await scene.recording.until('connections-turned-away');
    first.destroy();
    await eventually('one connection less', async () => (await scene.connections()) === 1);
    expect(await scene.status()).toBe(200);
  });
});
