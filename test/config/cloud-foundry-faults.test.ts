import { describe, expect, test } from '@jest/globals';
import { loadConfig } from '../../src/config/load-config.js';
import {
  boundTo,
  cloudFoundryEnv,
  databaseCredentials,
  fixture,
  loadOnCloudFoundry,
  minimalService,
  refusal,
  service,
  vcapServices,
  type Json,
} from './support.js';

const environment = 'failed to read the Cloud Foundry environment: ';
const pem = (kind: string) => `-----BEGIN ${kind}-----\nbm90IGEgcmVhbCBvbmU=\n-----END ${kind}-----\n`;

function loadWith(env: NodeJS.ProcessEnv) {
  return loadConfig({ env: cloudFoundryEnv({ VCAP_SERVICES: boundTo(), ...env }) });
}

test.each<[string, NodeJS.ProcessEnv, string]>([
  [
    'VCAP_APPLICATION is no JSON',
    { VCAP_APPLICATION: '{' },
    'VCAP_APPLICATION is malformed: it is not valid JSON',
  ],
  [
    'VCAP_APPLICATION is a list',
    { VCAP_APPLICATION: '[]' },
    'VCAP_APPLICATION is malformed: it is no JSON object',
  ],
  [
    'VCAP_SERVICES is no JSON',
    { VCAP_SERVICES: '{"user-provided"' },
    'VCAP_SERVICES is malformed: it is not valid JSON',
  ],
  ['VCAP_SERVICES is a number', { VCAP_SERVICES: '7' }, 'VCAP_SERVICES is malformed: it is no JSON object'],
  [
    'a label is no list',
    { VCAP_SERVICES: '{"db": {}}' },
    'VCAP_SERVICES is malformed: "db" is no list of services',
  ],
  [
    'a service is no object',
    { VCAP_SERVICES: '{"db": [7]}' },
    'VCAP_SERVICES is malformed: "db" is no list of services',
  ],
  [
    'nothing is bound',
    { VCAP_SERVICES: undefined },
    "no bound service has the tag 'eventgenerator-config': create one",
  ],
  ['PORT is missing', { PORT: undefined }, 'PORT is not set, allowed is a TCP port'],
  ['PORT is empty', { PORT: '' }, 'PORT is "", allowed is a TCP port'],
  ['PORT is no number', { PORT: 'http' }, 'PORT is "http", allowed is a TCP port'],
  ['PORT is too large', { PORT: '65536' }, 'PORT is "65536", allowed is a TCP port'],
  [
    'the instance key is missing',
    { CF_INSTANCE_KEY: undefined },
    'CF_INSTANCE_CERT is set and CF_INSTANCE_KEY is not',
  ],
  [
    'the instance certificate is missing',
    { CF_INSTANCE_CERT: '' },
    'CF_INSTANCE_KEY is set and CF_INSTANCE_CERT is not',
  ],
])('%s', (_what, env, text) => {
  const message = refusal(() => loadWith(env));
  expect(message.startsWith(environment + text)).toBe(true);
  expect(message.split('\n')).toHaveLength(1);
});

const configService = service('config', ['eventgenerator-config'], {
  'eventgenerator-config': minimalService,
});

test.each<[string, unknown]>([
  ['missing', {}],
  ['null', { 'eventgenerator-config': null }],
  ['a number', { 'eventgenerator-config': 7 }],
  ['a list', { 'eventgenerator-config': [] }],
  ['without credentials', null],
])('the configuration credential is %s', (_what, credentials) => {
  const message = refusal(() =>
    loadWith({ VCAP_SERVICES: vcapServices(service('eg', ['eventgenerator-config'], credentials)) }),
  );
  expect(message).toMatch(
    /^failed to read the Cloud Foundry environment: the service 'eg' has no credential 'eventgenerator-config' that is a JSON object/,
  );
});

test('the configuration text is no YAML', () => {
  expect(refusal(() => loadOnCloudFoundry('a: "'))).toMatch(
    /^failed to read config file: the credential 'eventgenerator-config' of the service 'config' is malformed: line 1/,
  );
});

test('two services have the same tag', () => {
  const services = vcapServices(configService, { ...configService, name: 'other' });
  expect(refusal(() => loadWith({ VCAP_SERVICES: services }))).toContain(
    "2 bound services have the tag 'eventgenerator-config': 'config', 'other'; unbind all but one",
  );
});

test('no database is bound or configured', () => {
  const message = refusal(() => loadWith({ VCAP_SERVICES: vcapServices(configService) }));
  expect(message.split('\n')).toEqual(
    ['policy_db', 'appmetrics_db'].map(
      (name) =>
        `failed to validate configuration : Configuration error: db.${name}.url is empty: allowed is a postgres:// URL; on Cloud Foundry bind a service with the tag '${name}'`,
    ),
  );
});

test.each<[string, Json, string]>([
  ['no uri', {}, "the credential 'uri' of the service 'database' is missing"],
  ['an empty uri', { uri: '' }, "the credential 'uri' of the service 'database' is missing"],
  [
    'a uri that is no text',
    { uri: { host: 'h' } },
    "the credential 'uri' of the service 'database' is not a text",
  ],
  [
    'a certificate that is no text',
    { ...databaseCredentials, server_ca: 7 },
    "the credential 'server_ca' of the service 'database' is not a text",
  ],
  [
    'a certificate that is no PEM',
    { ...databaseCredentials, server_ca: 'x' },
    "the credential 'server_ca' of the service 'database' is not PEM",
  ],
  [
    'escaped line breaks',
    { ...databaseCredentials, server_ca: pem('CERTIFICATE').replaceAll('\n', '\\n') },
    'with real line breaks',
  ],
  [
    'a certificate without key',
    { ...databaseCredentials, client_cert: pem('CERTIFICATE') },
    'must both be there, or neither',
  ],
])('a database binding with %s', (_what, credentials, text) => {
  const message = refusal(() => loadWith({ VCAP_SERVICES: boundTo(minimalService, credentials) }));
  expect(message.startsWith(environment)).toBe(true);
  expect(message).toContain(text);
  expect(message).not.toContain('is empty');
});

test('a configuration that the platform did not fill in is one fault', () => {
  const services = vcapServices(
    service('config', ['eventgenerator-config'], { 'credhub-ref': '/c/b/i/credentials' }),
    service('database', ['policy_db', 'appmetrics_db'], databaseCredentials),
  );
  const lines = refusal(() => loadWith({ VCAP_SERVICES: services })).split('\n');
  expect(lines).toEqual([
    expect.stringContaining(`${environment}the service 'config' holds only a 'credhub-ref'`),
  ]);
});

test('database credentials that the platform did not fill in are one fault a database', () => {
  const services = boundTo(minimalService, { 'credhub-ref': '/c/b/i/credentials' });
  const lines = refusal(() => loadWith({ VCAP_SERVICES: services })).split('\n');
  const line = expect.stringContaining(`${environment}the service 'database' holds only a 'credhub-ref'`);
  expect(lines).toEqual([line, line]);
});

describe('service bindings in a file', () => {
  const env = { VCAP_SERVICES: '', VCAP_SERVICES_FILE_PATH: '/etc/bindings.json' };
  const load = (readFile: (path: string) => string, changes: NodeJS.ProcessEnv = {}) =>
    loadConfig({ env: cloudFoundryEnv({ ...env, ...changes }), readFile });

  test('are read as from the variable', () => {
    const text = fixture('vcap-services-file.json');
    expect(load(() => text)).toEqual(loadWith({ VCAP_SERVICES: text }));
    expect(load(() => text).config.policyDb.url).toContain('127.0.0.1:23432');
  });

  test('count only where there is no variable', () => {
    const text = boundTo();
    const read = load(() => '{}', { VCAP_SERVICES: text });
    expect(read).toEqual(loadWith({ VCAP_SERVICES: text }));
  });

  test('that cannot be read are the only fault', () => {
    const missing = () => {
      throw new Error("ENOENT: no such file or directory, open '/etc/bindings.json'");
    };
    expect(refusal(() => load(missing))).toBe(
      `${environment}VCAP_SERVICES_FILE_PATH is "/etc/bindings.json", which cannot be read: no such file or directory`,
    );
  });

  test('that are malformed name the file', () => {
    expect(refusal(() => load(() => '{'))).toBe(
      `${environment}the file in VCAP_SERVICES_FILE_PATH ("/etc/bindings.json") is malformed: it is not valid JSON (1 characters)`,
    );
  });
});

test.each([undefined, '{}'])(
  'bindings in a form that is not read are the only fault, where VCAP_SERVICES is %s',
  (services) => {
    const env = { VCAP_SERVICES: services, SERVICE_BINDING_ROOT: '/etc/cf-service-bindings' };
    const said = refusal(() => loadConfig({ env: cloudFoundryEnv(env) }));
    expect(said.split('\n')).toEqual([
      expect.stringMatching(
        `^${environment}SERVICE_BINDING_ROOT is "/etc/cf-service-bindings", and VCAP_SERVICES holds no service`,
      ),
    ]);
    expect(() => loadWith({ ...env, VCAP_SERVICES: boundTo() })).not.toThrow();
  },
);

test('a database of another kind', () => {
  const services = boundTo(minimalService, { uri: 'mysql2://u:hunter2@h/d' });
  const message = refusal(() => loadWith({ VCAP_SERVICES: services }));
  expect(message).toContain("db.policy_db.url is no PostgreSQL URL: it has the scheme 'mysql2'");
  expect(message).not.toContain('hunter2');
});

test('several faults at once', () => {
  const services = boundTo({ ...minimalService, http_client_timeout: '10k', defaultStatWindowSecs: 7 }, {});
  const lines = refusal(() => loadWith({ VCAP_SERVICES: services, PORT: 'x' })).split('\n');
  expect(lines).toHaveLength(5);
});
