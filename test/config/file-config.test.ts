import { expect, test } from '@jest/globals';
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { loadConfig } from '../../src/config/load-config.js';
import { loadFile, minimal, minimalWith, refusal } from './support.js';

const base = { 'pool.total_instances': 1 };

test('a missing file is named with the reason', () => {
  expect(refusal(() => loadConfig({ file: '/no/such/eg.yml', env: {} }))).toBe(
    "failed to open config file '/no/such/eg.yml': no such file or directory",
  );
});

test('a folder is no configuration file', () => {
  expect(refusal(() => loadConfig({ file: tmpdir(), env: {} }))).toBe(
    `failed to open config file '${tmpdir()}': is a directory`,
  );
});

test('an endless file is read only as far as it may be long', () => {
  expect(refusal(() => loadConfig({ file: '/dev/zero', env: {} }))).toMatch(
    /^failed to read config file: '\/dev\/zero' is malformed: it is longer than the 262144 characters/,
  );
});

test('a file on disk is loaded', () => {
  const folder = mkdtempSync(join(tmpdir(), 'eg-config-'));
  try {
    const file = join(folder, 'eg.yml');
    writeFileSync(file, JSON.stringify(minimalWith(base)));
    const { config } = loadConfig({ file, env: {}, hostname: 'vm-7' });
    expect(config).toMatchObject({
      onCloudFoundry: false,
      instance: { guid: 'vm-7', index: 0 },
      pool: { mode: 'static', static: { totalInstances: 1, instanceIndex: 0 } },
    });
    truncateSync(file);
    expect(refusal(() => loadConfig({ file, env: {} }))).toContain('db.policy_db.url is empty');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('neither a file nor Cloud Foundry: says what to do', () => {
  expect(refusal(() => loadConfig({ env: {} }))).toMatch(
    /^failed to read config file: .* -c FILE.*VCAP_APPLICATION/,
  );
});

test('a text that is no YAML is the only fault', () => {
  expect(refusal(() => loadFile('server: {port: 1'))).toMatch(
    /^failed to read config file: 'eg.yml' is malformed: line 1, column \d+: [^\n]*$/,
  );
});

test.each(['- a', 'text', '7'])('a root that is no map (%s) is refused', (text) => {
  expect(refusal(() => loadFile(text))).toMatch(
    /^failed to read config file: 'eg.yml' is malformed: it holds/,
  );
});

test('every fault is named at once, each once, each with key, value and what is allowed', () => {
  const message = refusal(() =>
    loadFile(
      minimalWith({
        ...base,
        'logging.level': 'loud',
        'server.port': '6105',
        'aggregator.save_interval': '10k',
        'aggregator.metric_poller_count': -2,
        evaluator: 'none',
        'db.policy_db': [],
        defaultStatWindowSecs: 'two minutes',
        defaultBreachDurationSecs: null,
        surprise: true,
      }),
    ),
  );
  const read = 'failed to read config file: ';
  const validate = 'failed to validate configuration : Configuration error: ';
  expect(message.split('\n')).toEqual([
    `${read}db.policy_db is a list, allowed is a map of keys (file 'eg.yml')`,
    `${read}server.port is "6105", allowed is an integer (file 'eg.yml')`,
    `${read}defaultStatWindowSecs is "two minutes", allowed is an integer (file 'eg.yml')`,
    expect.stringMatching(
      /^failed to read config file: aggregator.save_interval is "10k", allowed is a duration/,
    ),
    `${read}evaluator is a single value, allowed is a map of keys (file 'eg.yml')`,
    expect.stringMatching(
      /^failed to read config file: unknown key surprise, allowed there: logging, server, /,
    ),
    `${validate}defaultBreachDurationSecs should be between 60 and 3600 seconds: it is missing`,
    `${validate}logging.level is "loud", allowed are debug, info, error, fatal`,
    `${validate}aggregator.metric_poller_count is less-equal than 0: it is -2, allowed are integers from 1 to 2147483647`,
  ]);
});

test.each([
  ['surprise', { surprise: 1 }],
  ['aggregator.node_index', { aggregator: { node_index: 0 } }],
  ['metricCollector.port', { metricCollector: { port: '' } }],
  ['uaa (it belongs under metricCollector.uaa)', { uaa: {} }],
  ['"db.policy_db"', { 'db.policy_db': {} }],
])('the file may not hold the unknown key %s', (name, content) => {
  expect(refusal(() => loadFile(content))).toContain(
    `failed to read config file: unknown key ${name}, allowed there: `,
  );
});

test.each(['__proto__', 'constructor', 'toString', 'prototype'])(
  '%s is an unknown key like any other',
  (key) => {
    const text = JSON.stringify(minimalWith(base)).replace(/}$/, `, "${key}": {"polluted": true}}`);
    expect(refusal(() => loadFile(text))).toContain(`unknown key ${key}, allowed there: `);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  },
);

test('a key cannot forge a line of the message', () => {
  const message = refusal(() => loadFile({ ...minimalWith(base), 'a\nfailed to open': 1 }));
  expect(message.split('\n')).toHaveLength(1);
});

test('a file full of nonsense makes a message that can be read', () => {
  const nonsense = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, i]));
  expect(refusal(() => loadFile({ ...minimal, ...nonsense })).split('\n').length).toBeLessThan(52);
});

test('sections that are null have their defaults', () => {
  const { config } = loadFile(
    minimalWith({ ...base, aggregator: null, circuitBreaker: null, logging: null }),
  );
  expect(config.aggregator.metricPollerCount).toBe(20);
  expect(config.circuitBreaker.consecutiveFailureCount).toBe(3);
});

test('databases of other components are accepted, and their types checked', () => {
  const lock = { 'db.lock_db.url': 'mysql://h/d', 'db.lock_db.max_open_connections': 5 };
  expect(() => loadFile(minimalWith({ ...base, ...lock }))).not.toThrow();
  expect(refusal(() => loadFile(minimalWith({ ...base, 'db.lock_db.max_open_connections': 'x' })))).toContain(
    'db.lock_db.max_open_connections is "x"',
  );
});

test('unquoted numbers and booleans are texts where a text belongs, as in Go', () => {
  const { config } = loadFile(`
db:
  policy_db: {url: "postgres://h/d"}
  appmetrics_db: {url: "postgres://h/d"}
pool: {total_instances: 1}
cf_server: {xfcc: {valid_org_guid: 0x1F, valid_space_guid: 1e5}}
health: {basic_auth: {username: 007, password: true}}
scalingEngine: {scaling_engine_url: https://e}
metricCollector: {metric_collector_url: lc:1}
defaultStatWindowSecs: 120
defaultBreachDurationSecs: 120.0
`);
  expect(config.health.basicAuth).toEqual({ username: { plain: '007' }, password: { plain: 'true' } });
  expect(config.cfServer.xfcc).toMatchObject({ validOrgGuid: '0x1F', validSpaceGuid: '1e5' });
  expect(config.defaultBreachDurationSecs).toBe(120);
});

test.each([
  ['yes', true],
  ['Yes', true],
  ['On', true],
  ['OFF', false],
  ['on', true],
  ['no', false],
  ['N', false],
  ['true', true],
])('%s is a boolean, as in Go', (word, value) => {
  const { config } = loadFile(
    JSON.stringify(minimalWith({ ...base, health: { readiness_enabled: 'WORD' } })).replace('"WORD"', word),
  );
  expect(config.health.readinessEnabled).toBe(value);
});

test.each(['http_client_timeout', 'db.policy_db.connection_max_lifetime'])(
  '%s needs a unit, as in Go',
  (key) => {
    const said = (value: unknown) => refusal(() => loadFile(minimalWith({ ...base, [key]: value })));
    const file = "(file 'eg.yml')";
    expect(said(60)).toBe(`failed to read config file: ${key}: 60 needs a unit, e.g. 60s ${file}`);
    expect(said('60')).toBe(`failed to read config file: ${key}: 60 needs a unit, e.g. 60s ${file}`);
    expect(said(-1.5)).toBe(`failed to read config file: ${key}: -1.5 needs a unit, e.g. -1.5s ${file}`);
  },
);

test('0 is a duration without a unit', () => {
  const { config } = loadFile(minimalWith({ ...base, 'db.policy_db.connection_max_lifetime': 0 }));
  expect(config.policyDb.connectionMaxLifetimeMs).toBe(0);
});

test.each([
  ['1_000', 1000],
  ['020', 16],
  ['+20', 20],
  ['0x1F', 31],
  ['0o20', 16],
])('%s is the integer %d, as in Go', (written, value) => {
  const text = JSON.stringify(minimalWith({ ...base, 'aggregator.metric_poller_count': 'NUMBER' }));
  const { config } = loadFile(text.replace('"NUMBER"', written));
  expect(config.aggregator.metricPollerCount).toBe(value);
});

test.each(['_', '1__x', '"020"', '089x'])('%s is no integer', (written) => {
  const text = JSON.stringify(minimalWith({ ...base, 'aggregator.metric_poller_count': 'NUMBER' }));
  expect(refusal(() => loadFile(text.replace('"NUMBER"', written)))).toContain('allowed is an integer');
});
