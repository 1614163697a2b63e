import { expect, test } from '@jest/globals';
import type { ServerResponse } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import {
  createScalingEngineClient,
  type ScalingEngineClient,
} from '../../src/scaling-engine/scaling-engine-client.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { sendJson, startHttpsServer } from '../tls/https-server.js';
import { clientScene, scaled, timeoutMs, trigger } from './client-scene.js';
import { listenOnLoopback } from '../support/listen.js';

const scene = clientScene();

test('connections are kept for later triggers, and nothing piles up on them', async () => {
  const before = scene.engine.connections();
  for (let i = 0; i < 30; i++) expect(await scene.client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(scene.engine.connections() - before).toBe(1);
});

test('a trigger that meets a connection just closed by the router is sent once more on a new one', async () => {
  const used = new Set<unknown>();
  let requests = 0;
  scene.handle = (request, response) => {
    requests++;
    if (used.has(request.socket)) return void request.socket.destroy();
    used.add(request.socket);
    sendJson(response, 200, scaled);
  };
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(requests).toBe(3);
});

test('a trigger that breaks on a new connection, or after the first byte, is not sent again', async () => {
  let requests = 0;
  scene.handle = (request) => {
    requests++;
    request.socket.destroy();
  };
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(1);

  await scene.answer(200, scaled);
  scene.handle = (request) => {
    requests++;
    request.socket.write('HTTP/1.1 200 OK\r\n', () => request.socket.destroy());
  };
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(2);
});

test('a connection whose router closed it costs one more try, however many others are kept', async () => {
  let waiting: ServerResponse[] = [];
  scene.handle = (_request, response) => {
    waiting.push(response);
    if (waiting.length === 3) for (const each of waiting) sendJson(each, 200, scaled);
  };
  await Promise.all([scene.client.post(trigger), scene.client.post(trigger), scene.client.post(trigger)]);
  const stale = new Set(waiting.map(({ req }) => req.socket));
  let requests = 0;
  scene.handle = (request, response) => {
    requests++;
    if (stale.has(request.socket)) request.socket.destroy();
    else sendJson(response, 200, scaled);
  };
  waiting = [];
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'scaled' });
  expect(requests).toBe(2);
});

test('it is sent once more only', async () => {
  await scene.client.post(trigger);
  let requests = 0;
  scene.handle = (request) => {
    requests++;
    request.socket.destroy();
  };
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(2);
});

test('a connection that is closed after the deadline is no reason to send again', async () => {
  await scene.client.post(trigger);
  let requests = 0;
  scene.handle = (request) => {
    requests++;
    void scene.clock.advance(timeoutMs).then(() => request.socket.destroy());
  };
  expect(await scene.client.post(trigger)).toMatchObject({
    fault: 'no-connection',
    message: expect.stringContaining('closed by the other side') as unknown,
  });
  expect(requests).toBe(1);
});

test('what is sent again has the rest of the deadline', async () => {
  const hourMs = 3_600_000;
  await scene.client.close();
  scene.client = scene.create(scene.engine.url, scene.keyPair, hourMs);
  await scene.client.post(trigger);
  let requests = 0;
  scene.handle = (request) => {
    if (++requests === 1) void scene.clock.advance(hourMs - 300).then(() => request.socket.destroy());
  };
  expect(await scene.client.post(trigger)).toMatchObject({
    kind: 'failed',
    message: expect.stringContaining(`within ${hourMs} ms`) as unknown,
  });
});

test('a scaling engine that hangs is given up at the deadline', async () => {
  await scene.becomeImpatient();
  scene.handle = () => {};
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'timeout' });
});

test('a response that does not end is given up at the deadline as well', async () => {
  await scene.becomeImpatient();
  let begun = false;
  scene.handle = (_request, response) => {
    response.writeHead(200);
    response.write('{"app_id":', () => (begun = true));
  };
  do {
    expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'timeout' });
  } while (!begun);
});

/** A TCP server that speaks no TLS; resolves when the first connection is there. */
async function rawServer(onConnection: (socket: Socket) => void): Promise<{ server: Server; url: string }> {
  const server = createServer(onConnection);
  return { server, url: `127.0.0.1:${await listenOnLoopback(server)}` };
}

test('where no connection comes up before the deadline, no app is to blame', async () => {
  const { server, url } = await rawServer((socket) => socket.on('error', () => {}).resume());
  const silent = scene.create(`https://${url}`, scene.keyPair, 100);
  expect(await silent.post(trigger)).toMatchObject({
    kind: 'failed',
    fault: 'no-connection',
    message: expect.stringContaining('could not be connected within 100 ms') as unknown,
  });
  await silent.close();
  await new Promise((resolve) => server.close(resolve));
});

test.each([
  ['speaks no HTTP', 'SSH-2.0-OpenSSH\r\n', 'does not speak HTTP'],
  [
    'switches to another protocol',
    'HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n',
    'answered 101',
  ],
])('what %s is a bad answer', async (_what, bytes, said) => {
  const { server, url } = await rawServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.write(bytes));
  });
  const plain = scene.create(`http://${url}`, null);
  expect(await plain.post(trigger)).toMatchObject({
    kind: 'failed',
    fault: 'bad-answer',
    message: expect.stringContaining(said) as unknown,
  });
  await plain.close();
  await new Promise((resolve) => server.close(resolve));
});

test('nothing listening, an unknown authority and a missing client certificate are told apart', async () => {
  const nobody = scene.create('https://127.0.0.1:1');
  const stranger = createScalingEngineClient({
    url: scene.engine.url,
    keyPair: scene.keyPair,
    roots: fixedAuthorities([(await createCertificateAuthority('Other CA')).cert]),
    timeoutMs,
    clock: scene.clock,
  });
  const anonymous = scene.create(scene.engine.url, null);
  const expected: [ScalingEngineClient, RegExp][] = [
    [nobody, /nothing listens there \(ECONNREFUSED\)/],
    [stranger, /unknown CA.*ca_file/],
    [anonymous, /demands a client certificate/],
  ];
  for (const [other, message] of expected) {
    const result = await other.post(trigger);
    expect(result).toMatchObject({ kind: 'failed', fault: 'no-connection' });
    expect(result.kind === 'failed' && result.message).toMatch(message);
    await other.close();
  }
});

test('a server that offers no more than TLS 1.2, with an ECDSA certificate, is good enough', async () => {
  const { key, chain } = await scene.authority.issue({ commonName: 'old', ipAddresses: ['127.0.0.1'] });
  const old = await startHttpsServer({ key, cert: chain, maxVersion: 'TLSv1.2' }, (_request, response) =>
    sendJson(response, 200, scaled),
  );
  const other = scene.create(old.url);
  expect(await other.post(trigger)).toMatchObject({ kind: 'scaled' });
  await other.close();
  await old.close();
});

test('closing aborts what is under way, and nothing is posted afterwards', async () => {
  let arrived = () => {};
  const arrival = new Promise<void>((resolve) => (arrived = resolve));
  let requests = 0;
  scene.handle = () => {
    requests++;
    arrived();
  };
  const result = scene.client.post(trigger);
  await arrival;
  await scene.client.close();
  expect(await result).toMatchObject({
    fault: 'no-connection',
    message: expect.stringMatching('stopping') as unknown,
  });
  expect(await scene.client.post(trigger)).toMatchObject({ kind: 'failed', fault: 'no-connection' });
  expect(requests).toBe(1);
});
