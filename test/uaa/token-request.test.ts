import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { createServer } from 'node:http';
import type { UaaConfig } from '../../src/config/config.js';
import type { TokenError } from '../../src/uaa/token-error.js';
import { createTokenRequest, type Token } from '../../src/uaa/token-request.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { freePort } from '../support/free-port.js';
import { ManualClock } from '../support/manual-clock.js';
import { sendJson } from '../tls/https-server.js';
import { answer, badCredentials, hang, startFakeUaa, token, type Answer, type FakeUaa } from './fake-uaa.js';
import { listenOnLoopback } from '../support/listen.js';

let uaa: FakeUaa;
let clock: ManualClock;
let closing: AbortController;
beforeAll(async () => void (uaa = await startFakeUaa()));
afterAll(() => uaa.close());
beforeEach(() => {
  uaa.reset();
  clock = new ManualClock();
  closing = new AbortController();
});
afterEach(() => closing.abort());

const secret = 's3cret+%&ü';
const password = 'pass word+%';
const goodToken = { access_token: 'fresh', token_type: 'bearer', expires_in: 60 };

function client(overrides: Partial<UaaConfig> = {}): UaaConfig {
  return {
    url: uaa.url,
    clientId: 'eventgenerator',
    clientSecret: secret,
    grant: { type: 'client_credentials' },
    skipSslValidation: false,
    ...overrides,
  };
}

const userGrant = { type: 'password', username: 'jo@example.com', password } as const;

function ask(config: UaaConfig, roots = uaa.roots): Promise<Token> {
  return createTokenRequest(config, { clock, roots: fixedAuthorities(roots), signal: closing.signal })();
}

async function refusal(given: Answer | null, config = client()): Promise<TokenError> {
  uaa.always(given);
  return ask(config).then(
    () => Promise.reject(new Error('a token was accepted')),
    (error: unknown) => error as TokenError,
  );
}

test('client_credentials sends percent-encoded basic credentials and nothing secret in the body', async () => {
  expect(await ask(client())).toEqual({ authorization: 'bearer token-1', lifetimeSecs: 43_199 });
  const [seen] = uaa.requests;
  expect(seen?.path).toBe('/oauth/token');
  expect(Object.fromEntries(seen?.form ?? [])).toEqual({ grant_type: 'client_credentials' });
  expect(seen?.headers.accept).toBe('application/json');
  expect(seen?.headers['accept-encoding']).toBe('identity');
  const basic = Buffer.from(seen?.headers.authorization?.slice('Basic '.length) ?? '', 'base64').toString();
  // UAA decodes both halves as form values.
  const [id, encoded] = basic.split(':');
  expect(new URLSearchParams(`id=${id}&secret=${encoded}`).get('secret')).toBe(secret);
  expect(encoded).not.toContain('+%&');
  expect(id).toBe('eventgenerator');
});

test('credentials are encoded no more than they must be, and UAA is told that they are', async () => {
  await ask(client({ clientId: 'log_cache-client.v1', clientSecret: 'a-b_c.d e%' }));
  const [seen] = uaa.requests;
  const basic = Buffer.from('log_cache-client.v1:a-b_c.d+e%25').toString('base64');
  expect(seen?.headers.authorization).toBe(`Basic ${basic}`);
  expect(seen?.headers['x-cf-encoded-credentials']).toBe('true');
});

test('an encoding that is none is no trouble', async () => {
  uaa.next(answer(200, JSON.stringify(goodToken), 'application/json', { 'content-encoding': 'identity' }));
  expect(await ask(client())).toEqual({ authorization: 'bearer fresh', lifetimeSecs: 60 });
});

test('the cf client with its empty secret authenticates by a basic header', async () => {
  await ask(client({ clientId: 'cf', clientSecret: '', grant: userGrant }));
  const [seen] = uaa.requests;
  expect(seen?.headers.authorization).toBe(`Basic ${Buffer.from('cf:').toString('base64')}`);
  expect(Object.fromEntries(seen?.form ?? [])).toEqual({
    grant_type: 'password',
    username: 'jo@example.com',
    password,
  });
});

test.each(['', '/', '/oauth/token', '//'])('the URL may end in "%s"', async (path) => {
  await ask(client({ url: uaa.url + path }));
  expect(uaa.requests[0]?.path).toBe('/oauth/token');
});

test('a UAA without TLS is asked, too', async () => {
  const plain = createServer((_request, response) =>
    sendJson(response, 200, { access_token: 'plain', token_type: 'bearer', expires_in: 60 }),
  );
  const port = await listenOnLoopback(plain);
  try {
    expect(await ask(client({ url: `http://127.0.0.1:${port}` }))).toMatchObject({
      authorization: 'bearer plain',
    });
  } finally {
    await new Promise((resolve) => plain.close(resolve));
  }
});

test('an untrusted certificate is refused with the remedy, and accepted with skip_ssl_validation', async () => {
  const roots = [(await createCertificateAuthority('Other CA')).cert];
  await expect(ask(client(), roots)).rejects.toThrow(/unknown CA.*ca_file/);
  expect(uaa.requests).toHaveLength(0);
  expect(await ask(client({ skipSslValidation: true }), roots)).toMatchObject({ lifetimeSecs: 43_199 });
});

test('a wrong secret and a wrong password are credentials faults whose remedies differ', async () => {
  const wrongSecret = await refusal(badCredentials);
  expect(wrongSecret.kind).toBe('credentials');
  expect(wrongSecret.message).toBe(
    `UAA client "eventgenerator" got no token from ${uaa.url}/oauth/token: HTTP status 401 (unauthorized: Bad credentials); check metricCollector.uaa.client_id and client_secret, and that the client may use the grant "client_credentials"`,
  );
  const wrongPassword = await refusal(badCredentials, client({ grant: userGrant }));
  expect(wrongPassword.kind).toBe('credentials');
  expect(wrongPassword.message).toContain('check metricCollector.uaa.username and password');
});

const locked = {
  error: 'unauthorized',
  error_description: 'Your account has been locked because of too many failed attempts to login.',
};
const html = '<html><body>Too Many Requests</body></html>';

test.each<[string, Answer, TokenError['kind'], RegExp]>([
  [
    'a locked account',
    answer(401, JSON.stringify(locked)),
    'credentials',
    /401 \(unauthorized: Your account/,
  ],
  ['401 without a body', answer(401), 'credentials', /status 401;/],
  ['a bad scope', answer(400, '{"error":"invalid_scope"}'), 'credentials', /400 \(invalid_scope\)/],
  ['an unverified account', answer(403, '{"error":"access_denied"}'), 'credentials', /403 \(access_denied\)/],
  ['429 as HTML', answer(429, html, 'text/html'), 'unavailable', /429; UAA limits the rate/],
  ['500', answer(500, '{"error":"server_error"}'), 'unavailable', /status 500; check/],
  ['502 without a body', answer(502), 'unavailable', /status 502;/],
  ['503 as HTML', answer(503, html, 'text/html'), 'unavailable', /status 503;/],
  [
    '404 of a router without UAA',
    answer(404, '404 Not Found: Requested route', 'text/plain'),
    'unavailable',
    /404/,
  ],
  ['a redirect to a login page', answer(302, '', 'text/html', { location: '/login' }), 'bad-answer', /302/],
  ['204', answer(204), 'bad-answer', /204/],
  ['200 as HTML', answer(200, html, 'text/html'), 'bad-answer', /not UAA's/],
  ['200 without a body', answer(200), 'bad-answer', /not UAA's/],
  ['200 with a list', answer(200, '[]'), 'bad-answer', /not UAA's/],
  ['no access_token', token({ access_token: undefined }), 'bad-answer', /not UAA's/],
  ['an empty access_token', token({ access_token: '' }), 'bad-answer', /not UAA's/],
  ['a token that is no header value', token({ access_token: 'a\r\nb' }), 'bad-answer', /no header value/],
  ['no token_type', token({ token_type: undefined }), 'bad-answer', /not UAA's/],
  ['another token_type', token({ token_type: 'mac' }), 'bad-answer', /not UAA's/],
  ['no expires_in', token({ expires_in: undefined }), 'bad-answer', /expires_in is missing/],
  ['a negative expires_in', token({ expires_in: -5 }), 'bad-answer', /not UAA's/],
  ['an endless answer', answer(200, 'x'.repeat(300_000)), 'bad-answer', /more than 262144 bytes/],
  [
    'a compressed answer, which was not asked for',
    answer(200, 'x', 'application/json', { 'content-encoding': 'gzip' }),
    'bad-answer',
    /encoding that was not asked for/,
  ],
  ['a reset', (response) => response.socket?.destroy(), 'unavailable', /closed by the other side/],
  [
    'a reset within the body',
    (response) => {
      response.writeHead(200, { 'content-length': '100' });
      response.write('{', () => response.socket?.destroy());
    },
    'unavailable',
    /closed by the other side/,
  ],
])('%s', async (_case, given, kind, message) => {
  const error = await refusal(given);
  expect(error.message).toMatch(message);
  expect(error.kind).toBe(kind);
  expect(error.message).toContain(`"eventgenerator"`);
  expect(error.message).toContain(`${uaa.url}/oauth/token`);
  expect(clock.pendingTimers).toBe(0);
});

test.each<[string, string]>([
  ['42', '42000'],
  [new Date(1_700_000_030_000).toUTCString(), '30000'],
  ['999999', '60000'],
  ['soon', 'null'],
])('Retry-After: %s is heard as %s ms', async (header, ms) => {
  const error = await refusal(answer(429, '', 'text/plain', { 'retry-after': header }));
  expect(String(error.retryAfterMs)).toBe(ms);
});

test('no secret and no token of an answer gets into an error', async () => {
  const jwt = `eyJhbGciOiJSUzI1NiJ9.${'a'.repeat(80)}.${'b'.repeat(40)}`;
  const echoes = [
    answer(401, JSON.stringify({ error: 'unauthorized', error_description: `bad token ${jwt}` })),
    answer(401, JSON.stringify({ error: 'unauthorized', error_description: `wrong ${secret}` })),
    answer(401, JSON.stringify({ error: 'unauthorized', error_description: `wrong ${password}` })),
    answer(200, JSON.stringify({ access_token: jwt, token_type: 'mac', expires_in: 60 })),
    answer(200, JSON.stringify({ access_token: jwt, token_type: 'bearer' })),
    answer(500, `secret=${secret} ${jwt}`, 'text/plain'),
  ];
  for (const echo of echoes) {
    const error = await refusal(echo, client({ grant: userGrant }));
    const everything = `${error.stack} ${JSON.stringify(error)} ${String(error.cause)}`;
    for (const leak of [secret, password, jwt.slice(0, 40), 'a'.repeat(32)]) {
      expect(everything).not.toContain(leak);
    }
  }
});

test('an id_token, whose issuer is not the URL that was asked, does not cost the access token', async () => {
  uaa.next(token({ id_token: 'e30.e30.x' }));
  expect(await ask(client())).toEqual({ authorization: 'bearer fresh', lifetimeSecs: 60 });
});

test('a UAA that does not answer is given up after 5 s', async () => {
  uaa.next(hang);
  const asked = ask(client());
  const outcome = expect(asked).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringContaining('no complete answer within 5000 ms') as unknown,
  });
  await clock.timersPending(1);
  while (uaa.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(5000);
  await outcome;
});

test('a body that never ends is given up after 5 s as well', async () => {
  let sent = () => {};
  const begun = new Promise<void>((resolve) => (sent = resolve));
  uaa.next((response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    response.write('{"access_token":', () => sent());
  });
  const outcome = expect(ask(client())).rejects.toThrow(/5000 ms/);
  await begun;
  await clock.advance(5000);
  await outcome;
});

test('closing aborts what is under way and what comes after', async () => {
  uaa.next(hang);
  const outcome = expect(ask(client())).rejects.toThrow(/stopping/);
  while (uaa.requests.length === 0) await new Promise((resolve) => setImmediate(resolve));
  closing.abort();
  await outcome;
  await expect(ask(client())).rejects.toThrow(/stopping/);
  expect(clock.pendingTimers).toBe(0);
});

test('nothing listening is told as such', async () => {
  await expect(ask(client({ url: `https://127.0.0.1:${await freePort()}` }))).rejects.toMatchObject({
    kind: 'unavailable',
    message: expect.stringContaining('nothing listens there (ECONNREFUSED)') as unknown,
  });
});
