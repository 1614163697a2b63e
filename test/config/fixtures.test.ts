import { expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config/load-config.js';
import { fixture } from './support.js';

const load = (name: string) => loadConfig({ file: name, env: {}, readFile: fixture, hostname: 'vm' });

test('the file that the BOSH job renders is loaded unchanged', () => {
  const { config, warnings } = load('bosh.yml');
  expect(config).toMatchObject({
    onCloudFoundry: false,
    logging: { level: 'info' },
    apiServer: { port: 6105, tls: { ca: { file: expect.stringMatching(/ca\.crt$/) } } },
    cfServer: { port: 8080, tls: { key: null }, xfcc: { validSpaceGuid: '' } },
    healthServer: { port: 6205 },
    health: {
      basicAuth: { username: { plain: 'probe' }, password: { plain: '0123456789' } },
      readinessEnabled: false,
    },
    policyDb: { maxOpenConnections: 20, maxIdleConnections: 10, connectionMaxLifetimeMs: 60_000 },
    pool: { mode: 'static', static: { totalInstances: 3, instanceIndex: 1 } },
    aggregator: {
      collectionIntervalMs: 40_000,
      policyPollerIntervalMs: 60_000,
      saveIntervalMs: 5000,
      metricPollerCount: 20,
      metricCacheSizePerApp: 300,
    },
    evaluator: { mode: 'act', observedRetentionMs: 172_800_000, evaluationIntervalMs: 60_000 },
    logCache: { url: 'log-cache.service.cf.internal:8080', uaa: null },
    circuitBreaker: {
      backOffInitialIntervalMs: 300_000,
      backOffMaxIntervalMs: 7_200_000,
      consecutiveFailureCount: 3,
    },
    httpClientTimeoutMs: 60_000,
  });
  expect(warnings).toEqual([]);
});

test('the file that the BOSH job renders with a UAA and without health credentials is loaded unchanged', () => {
  const { config, warnings } = load('bosh-uaa.yml');
  expect(config.logCache).toMatchObject({
    url: 'https://log-cache.sys.example.org',
    uaa: { clientId: 'eventgenerator_log_cache', clientSecret: '1e5', skipSslValidation: false },
  });
  expect(config.health.basicAuth).toEqual({ username: null, password: null });
  expect(warnings).toEqual([]);
});

test('the services that the deployment scripts bind are loaded unchanged', () => {
  const { config, warnings } = loadConfig({
    env: {
      VCAP_APPLICATION: fixture('vcap-application.json'),
      VCAP_SERVICES: fixture('vcap-services.json'),
      PORT: '8080',
      CF_INSTANCE_INDEX: '1',
      CF_INSTANCE_GUID: '2c1d7b53-7f5b-4e0e-5a0c-0001',
      CF_INSTANCE_CERT: '/etc/cf-instance-credentials/instance.crt',
      CF_INSTANCE_KEY: '/etc/cf-instance-credentials/instance.key',
    },
  });
  expect(config).toMatchObject({
    onCloudFoundry: true,
    apiServer: null,
    cfServer: { port: 8080, xfcc: { validOrgGuid: '4e5f0a1c-7c1d-4c52-9d3e-000000000001' } },
    policyDb: { maxOpenConnections: 100, tls: { ca: { pem: expect.stringContaining('BEGIN CERTIFICATE') } } },
    pool: { mode: 'elastic', static: { totalInstances: 2, instanceIndex: 1 } },
    logCache: { uaa: { skipSslValidation: true } },
  });
  expect(config.policyDb).toEqual(config.appMetricsDb);
  expect(warnings).toEqual([
    expect.stringMatching(/^pool.total_instances \(2\) and pool.instance_index are ignored/),
    expect.stringMatching(/^metricCollector.uaa.skip_ssl_validation is true/),
  ]);
});
