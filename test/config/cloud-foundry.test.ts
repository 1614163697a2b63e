import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config/load-config.js';
import {
  boundTo,
  cloudFoundryEnv,
  databaseCredentials,
  loadOnCloudFoundry,
  minimal,
  minimalService,
  ownOrg,
  ownSpace,
  refusal,
  service,
  vcapServices,
  type Json,
} from './support.js';

const pem = (kind: string) => `-----BEGIN ${kind}-----\nbm90IGEgcmVhbCBvbmU=\n-----END ${kind}-----\n`;

function loadWith(env: NodeJS.ProcessEnv) {
  return loadConfig({ env: cloudFoundryEnv({ VCAP_SERVICES: boundTo(), ...env }) });
}

test('one listener on PORT, the platform’s identity, elastic ownership, readiness', () => {
  const { config, warnings } = loadOnCloudFoundry(minimalService, { PORT: '4711', CF_INSTANCE_INDEX: '3' });
  expect(config).toMatchObject({
    onCloudFoundry: true,
    apiServer: null,
    healthServer: null,
    cfServer: { port: 4711, xfcc: { validOrgGuid: ownOrg, validSpaceGuid: ownSpace, ca: null } },
    health: { readinessEnabled: true },
    pool: { mode: 'elastic', static: null },
    instance: { guid: 'instance-guid', index: 3 },
    scalingEngine: {
      tls: {
        key: { file: '/etc/cf-instance-credentials/instance.key' },
        cert: { file: '/etc/cf-instance-credentials/instance.crt' },
        ca: null,
      },
    },
  });
  expect(warnings).toEqual([]);
});

test('the configured port, readiness and certificate of the scaling engine', () => {
  const tls = { key_file: '/k', cert_file: '/c', ca_file: '/ca' };
  const { config } = loadOnCloudFoundry({
    ...minimalService,
    cf_server: { port: 9999 },
    health: { readiness_enabled: false },
    scalingEngine: { scaling_engine_url: 'https://e', tls },
  });
  expect(config.cfServer.port).toBe(8080);
  expect(config.health.readinessEnabled).toBe(false);
  expect(config.scalingEngine.tls).toEqual({
    key: { file: '/etc/cf-instance-credentials/instance.key' },
    cert: { file: '/etc/cf-instance-credentials/instance.crt' },
    ca: { file: '/ca' },
  });
});

const yamlText = `
scalingEngine:
  scaling_engine_url: https://engine.example.org
metricCollector:
  metric_collector_url: https://log-cache.example.org
  uaa: {url: https://uaa.example.org, client_id: eg}
defaultStatWindowSecs: 120
defaultBreachDurationSecs: 120
`;

test.each([
  ['a JSON object', minimalService],
  ['a JSON text', JSON.stringify(minimalService)],
  ['a YAML text', yamlText],
])('the service’s configuration is %s', (_form, configuration) => {
  expect(loadOnCloudFoundry(configuration).config.logCache.uaa?.clientId).toBe('eg');
});

test('a long value and a long map do not matter to a JSON object', () => {
  const secret = 'x'.repeat(5000);
  const uaa = { url: 'https://uaa.example.org', client_id: 'eg', client_secret: secret };
  const configuration = { ...minimalService, metricCollector: { metric_collector_url: 'https://lc', uaa } };
  expect(loadOnCloudFoundry(configuration).config.logCache.uaa?.clientSecret).toBe(secret);
});

describe('order of sources', () => {
  const file = JSON.stringify({
    ...minimal,
    http_client_timeout: '11s',
    aggregator: { metric_poller_count: 7, metric_cache_size_per_app: 8 },
    db: { policy_db: { url: 'postgres://file/d', max_open_connections: 4 } },
  });
  const load = (services: string) =>
    loadConfig({ file: 'eg.yml', env: cloudFoundryEnv({ VCAP_SERVICES: services }), readFile: () => file })
      .config;

  test('the service wins over the file, the file over the defaults, bindings over both', () => {
    const config = load(boundTo({ ...minimalService, aggregator: { metric_poller_count: 9 } }));
    expect(config.aggregator).toMatchObject({
      metricPollerCount: 9,
      metricCacheSizePerApp: 8,
      saveIntervalMs: 5000,
    });
    expect(config.httpClientTimeoutMs).toBe(11_000);
    expect(config.policyDb).toMatchObject({ url: databaseCredentials['uri'], maxOpenConnections: 4 });
  });

  test('with a file the configuration service may be missing', () => {
    const config = load(vcapServices(service('database', ['appmetrics_db'], databaseCredentials)));
    expect(config.policyDb.url).toBe('postgres://file/d');
    expect(config.logCache.uaa).toBeNull();
  });

  test('unknown keys of the file are refused here, too', () => {
    const load = () =>
      loadConfig({
        file: 'eg.yml',
        env: cloudFoundryEnv({ VCAP_SERVICES: boundTo() }),
        readFile: () => 'surprise: 1',
      });
    expect(refusal(load)).toContain('unknown key surprise');
  });
});

describe('unknown keys of the service', () => {
  test('empty ones are passed over', () => {
    const { warnings } = loadOnCloudFoundry({
      ...minimalService,
      uaa: { url: '', client_id: '', skip_ssl_validation: false },
      metricCollector: { ...(minimalService['metricCollector'] as Json), port: '' },
      surprise: null,
    });
    expect(warnings).toEqual([]);
  });

  test('filled ones are named, and a top-level uaa is told where it belongs', () => {
    const { warnings } = loadOnCloudFoundry({
      ...minimalService,
      uaa: { client_id: 'eg', client_secret: 's3cr3t' },
      aggregator: { node_index: 0 },
      metricCollector: { ...(minimalService['metricCollector'] as Json), port: '8080' },
    });
    expect(warnings).toEqual([
      "Unknown keys of the service 'config' are ignored, remove or correct them: metricCollector.port, uaa (it belongs under metricCollector.uaa), aggregator.node_index.",
    ]);
  });

  test('known keys of the wrong type are refused as in a file', () => {
    const message = refusal(() => loadOnCloudFoundry({ ...minimalService, http_client_timeout: '10k' }));
    expect(message).toMatch(
      /^failed to read config file: http_client_timeout is "10k", allowed is a duration .* \(service 'config'\)$/,
    );
  });
});

test('tags are found in any case and in any label', () => {
  const services = JSON.stringify({
    postgres: [service('p', ['Policy_DB', 'postgres'], databaseCredentials)],
    other: [service('m', ['APPMETRICS_DB'], { uri: 'postgres://other/d' }), { name: 'no tags' }],
    'user-provided': [service('c', ['Eventgenerator-Config'], { 'eventgenerator-config': minimalService })],
  });
  const { config } = loadWith({ VCAP_SERVICES: services });
  expect([config.policyDb.url, config.appMetricsDb.url]).toEqual([
    databaseCredentials['uri'],
    'postgres://other/d',
  ]);
});

test('certificates of a database binding stay in memory', () => {
  const credentials = {
    ...databaseCredentials,
    client_cert: pem('CERTIFICATE'),
    client_key: pem('RSA PRIVATE KEY'),
    server_ca: pem('CERTIFICATE'),
  };
  const { config } = loadWith({ VCAP_SERVICES: boundTo(minimalService, credentials) });
  const tls = {
    cert: { pem: pem('CERTIFICATE') },
    key: { pem: pem('RSA PRIVATE KEY') },
    ca: { pem: pem('CERTIFICATE') },
  };
  expect([config.policyDb.tls, config.appMetricsDb.tls]).toEqual([tls, tls]);
});

test('without an instance certificate the configured one is used, or its absence is warned about', () => {
  const env = { CF_INSTANCE_CERT: undefined, CF_INSTANCE_KEY: undefined };
  expect(loadWith(env).warnings).toEqual([
    expect.stringMatching(/^CF_INSTANCE_CERT and CF_INSTANCE_KEY are not set/),
  ]);
  const tls = { key_file: '/k', cert_file: '/c' };
  const { config, warnings } = loadOnCloudFoundry(
    { ...minimalService, scalingEngine: { scaling_engine_url: 'https://e', tls } },
    env,
  );
  expect(config.scalingEngine.tls).toEqual({ key: { file: '/k' }, cert: { file: '/c' }, ca: null });
  expect(warnings).toEqual([]);
});

test('instance GUID and index come from VCAP_APPLICATION where the variables are missing', () => {
  const application = JSON.stringify({
    organization_id: ownOrg,
    instance_id: 'from-vcap',
    instance_index: 4,
  });
  const env = { VCAP_APPLICATION: application, CF_INSTANCE_GUID: undefined, CF_INSTANCE_INDEX: undefined };
  expect(loadWith(env).config.instance).toEqual({ guid: 'from-vcap', index: 4 });
});
