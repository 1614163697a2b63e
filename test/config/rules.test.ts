import { describe, expect, test } from '@jest/globals';
import { loadFile, minimalWith, refusal, type Json } from './support.js';

const base = { 'pool.total_instances': 1 };
const validate = 'failed to validate configuration : ';

describe('credentials of the health server', () => {
  const hash = `$2a$10$${'abcdefghijklmnopqrstuv'}${'ABCDEFGHIJKLMNOPQRSTUVWXYZ01234'}`;
  const load = (basic_auth: Json) => loadFile(minimalWith({ ...base, 'health.basic_auth': basic_auth }));

  test.each([
    ['none', {}, { username: null, password: null }],
    ['plain', { username: 'u', password: 'p' }, { username: { plain: 'u' }, password: { plain: 'p' } }],
    [
      'hashed',
      { username_hash: hash, password_hash: hash },
      { username: { bcrypt: hash }, password: { bcrypt: hash } },
    ],
    ['user hash alone', { username_hash: hash }, { username: { bcrypt: hash }, password: null }],
    ['password hash alone', { password_hash: hash }, { username: null, password: { bcrypt: hash } }],
    [
      'empty texts',
      { username: '', password: '', username_hash: '', password_hash: '' },
      { username: null, password: null },
    ],
  ])('%s: accepted', (_what, basicAuth, resolved) => {
    expect(load(basicAuth).config.health.basicAuth).toEqual(resolved);
  });

  test.each([
    [{ username: 'u' }, 'healthcheck password is empty'],
    [{ username: 'u', password_hash: hash }, 'healthcheck password is empty'],
    [{ password: 'p' }, 'healthcheck username is empty'],
    [{ password: 'p', username_hash: hash }, 'healthcheck username is empty'],
    [
      { username: 'u', username_hash: hash, password: 'p' },
      'healthcheck username and healthcheck username_hash are both set',
    ],
    [
      { username: 'u', password_hash: hash, password: 'p' },
      'healthcheck password and healthcheck password_hash are both set',
    ],
    [{ username_hash: 'nonsense' }, 'healthcheck username_hash is not a bcrypt hash'],
    [{ password_hash: hash.slice(0, -1) }, 'healthcheck password_hash is not a bcrypt hash'],
    [{ password_hash: hash.replace('$10$', '$03$') }, 'healthcheck password_hash is not a bcrypt hash'],
    [{ password_hash: hash.replace('$10$', '$32$') }, 'healthcheck password_hash is not a bcrypt hash'],
  ])('%j: refused', (basicAuth, text) => {
    const message = refusal(() => load(basicAuth));
    expect(message.startsWith(`${validate}configuration error: ${text}`)).toBe(true);
    expect(message.split('\n')).toHaveLength(1);
  });
});

describe('log-cache', () => {
  const uaa = { url: 'https://uaa.example.org/', client_id: 'eg', client_secret: 's' };
  const load = (values: Json, url = 'https://log-cache.example.org/') =>
    loadFile(
      minimalWith({
        ...base,
        'metricCollector.metric_collector_url': url,
        'metricCollector.uaa': { ...uaa, ...values },
      }),
    );

  test('with a UAA it is an HTTP service', () => {
    expect(load({}).config.logCache).toMatchObject({
      url: 'https://log-cache.example.org',
      uaa: {
        url: 'https://uaa.example.org',
        clientId: 'eg',
        clientSecret: 's',
        grant: { type: 'client_credentials' },
        skipSslValidation: false,
      },
    });
  });

  test('the password grant uses the cf client unless another is configured', () => {
    const password = { grant_type: 'password', username: 'admin', password: 'p' };
    expect(load({ ...password, client_id: null, client_secret: null }).config.logCache.uaa).toMatchObject({
      clientId: 'cf',
      clientSecret: '',
      grant: { type: 'password', username: 'admin', password: 'p' },
    });
    expect(load(password).config.logCache.uaa?.clientId).toBe('eg');
  });

  test.each([
    [
      { grant_type: 'password' },
      ['metricCollector.uaa.username is empty', 'metricCollector.uaa.password is empty'],
    ],
    [{ client_id: '' }, ['metricCollector.uaa.client_id is empty']],
    [
      { grant_type: 'implicit' },
      ['metricCollector.uaa.grant_type is "implicit", allowed are client_credentials, password'],
    ],
    [{ url: 'uaa' }, ['metricCollector.uaa.url is no URL of an HTTP service: it is "uaa"']],
  ])('%j: refused', (values, texts) => {
    const lines = refusal(() => load(values)).split('\n');
    expect(lines).toEqual(
      texts.map((text) => expect.stringContaining(`${validate}Configuration error: ${text}`)),
    );
  });

  test('a token is not sent to an http:// URL', () => {
    expect(refusal(() => load({}, 'http://log-cache.example.org'))).toBe(
      `${validate}Configuration error: metricCollector.metric_collector_url is "http://log-cache.example.org": a token is sent there, allowed is https://host:port`,
    );
  });

  test('host:port is refused with a UAA, a URL without one', () => {
    expect(refusal(() => load({}, 'log-cache:8080'))).toMatch(
      /metric_collector_url is no URL of an HTTP service/,
    );
    expect(refusal(() => load({ url: '' }, 'https://log-cache'))).toMatch(
      /metric_collector_url is no host:port/,
    );
  });

  test('keys of a UAA without URL, a skipped validation and missing client certificates are warned about', () => {
    expect(load({ url: '' }, 'log-cache:8080').warnings).toEqual([
      expect.stringMatching(/^metricCollector.uaa.url is empty/),
    ]);
    expect(load({ skip_ssl_validation: true }).warnings).toEqual([
      expect.stringMatching(/^metricCollector.uaa.skip_ssl_validation is true/),
    ]);
    expect(loadFile(minimalWith({ ...base, 'metricCollector.tls': null })).warnings).toEqual([
      expect.stringMatching(/^metricCollector.tls.key_file and cert_file are empty/),
    ]);
  });
});

describe('databases', () => {
  const load = (values: Json) => loadFile(minimalWith({ ...base, ...values })).config.policyDb;

  test.each([
    [{}, 10, 10],
    [{ max_open_connections: 0, max_idle_connections: 0 }, 10, 10],
    [{ max_open_connections: -1, max_idle_connections: -1 }, 10, 10],
    [{ max_open_connections: 20 }, 20, 20],
    [{ max_open_connections: 20, max_idle_connections: 5 }, 20, 5],
    [{ max_open_connections: 5, max_idle_connections: 20 }, 5, 5],
  ])('%j: %d connections, %d idle', (limits, open, idle) => {
    const values = Object.fromEntries(
      Object.entries(limits).map(([key, value]) => [`db.policy_db.${key}`, value]),
    );
    expect(load(values)).toMatchObject({ maxOpenConnections: open, maxIdleConnections: idle });
  });

  test('ages of 0 and below are for ever', () => {
    expect(load({ 'db.policy_db.connection_max_lifetime': '-1s' }).connectionMaxLifetimeMs).toBe(0);
  });

  test.each([
    'postgres://u:p@h:5432/d',
    'postgresql://u:p%40%2F%23@h/d?sslmode=verify-full&sslrootcert=/ca&application_name=eg',
    'POSTGRES://u@[::1]/d',
    'postgres:///d?host=/var/run/postgresql',
    'postgres://u:p@one:5432,[::1]:5433/d?target_session_attrs=read-write',
    'postgres:///d?host=one,two&port=5432',
    'postgres://h/d?sslmode=',
    ...['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'].map(
      (mode) => `postgres://h/d?sslmode=${mode}`,
    ),
  ])('%s is accepted', (url) => {
    expect(load({ 'db.policy_db.url': url }).url).toBe(url);
  });

  test.each([
    ['mysql://u:hunter2@h/d', "it has the scheme 'mysql', allowed are postgres:// and postgresql://"],
    ['u:hunter2@tcp(h:3306)/d?tls=true', 'it has no scheme (as in a MySQL DSN)'],
    ['hunter2', 'it has no scheme'],
    ['postgres://u:hunter2#x@h/d', 'is malformed'],
    ['postgres://u:hunter2/x@h/d', 'is malformed'],
    ['postgres://u:hunter2%zz@h/d', 'is malformed'],
    ['postgres://u:hunter2@h:port/d', 'is malformed'],
    ['postgres://u:hunter2@one,two:port/d', 'is malformed'],
    ['postgres://u:hunter2@one,two,three/d?port=1,2', 'is malformed'],
    ['postgres://u:hunter2@one,/d', 'names no host'],
    [
      'postgres://u:hunter2@h/d?target_session_attrs=writable',
      'has the target_session_attrs "writable", allowed',
    ],
    ['postgres://u:hunter2@/d', 'is malformed|names no host'],
    ['postgres://u:hunter2@h/d?sslmode=tls', 'has the sslmode "tls", allowed are disable, allow, prefer'],
  ])('%s is refused without showing it', (url, text) => {
    const message = refusal(() => load({ 'db.policy_db.url': url }));
    expect(message).toMatch(new RegExp(`^${validate}Configuration error: db.policy_db.url `));
    expect(text.split('|').some((each) => message.includes(each))).toBe(true);
    expect(message).not.toContain('hunter2');
  });
});

describe('certificates', () => {
  test.each(['server', 'cf_server', 'health.server_config', 'scalingEngine', 'metricCollector'])(
    '%s: a key needs its certificate, and the other way round',
    (section) => {
      const load = (tls: Json) => loadFile(minimalWith({ ...base, [`${section}.tls`]: tls }));
      expect(refusal(() => load({ key_file: '/k' }))).toContain(
        `${section}.tls.cert_file is empty although key_file is set`,
      );
      expect(refusal(() => load({ cert_file: '/c' }))).toContain(
        `${section}.tls.key_file is empty although cert_file is set`,
      );
    },
  );
});

test('the first back-off is never longer than the longest', () => {
  const { config } = loadFile(
    minimalWith({
      ...base,
      circuitBreaker: { back_off_initial_interval: '10m', back_off_max_interval: '1m' },
    }),
  );
  expect(config.circuitBreaker).toMatchObject({
    backOffInitialIntervalMs: 60_000,
    backOffMaxIntervalMs: 60_000,
  });
});

describe('the mode', () => {
  const file = (mode?: string) => minimalWith({ ...base, ...(mode && { 'evaluator.mode': mode }) });

  test('is act unless it is configured, and the environment wins', () => {
    expect(loadFile(file()).config.evaluator.mode).toBe('act');
    const observing = file('Observe');
    expect(loadFile(observing).config.evaluator.mode).toBe('observe');
    expect(loadFile(observing, { EVENTGENERATOR_MODE: 'act' }).config.evaluator.mode).toBe('act');
    expect(loadFile(file(), { EVENTGENERATOR_MODE: 'observe' }).config.evaluator).toMatchObject({
      mode: 'observe',
      observedRetentionMs: 172_800_000,
    });
  });

  test('of another spelling ends the start instead of acting', () => {
    expect(refusal(() => loadFile(file(), { EVENTGENERATOR_MODE: 'observer' }))).toBe(
      'failed to validate configuration : Configuration error: evaluator.mode is "observer", allowed are act, observe (also for EVENTGENERATOR_MODE)',
    );
  });
});
