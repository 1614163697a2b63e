import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { LoadedConfig } from '../../src/config/config.js';
import { loadConfig } from '../../src/config/load-config.js';
import { ConfigError } from '../../src/config/report.js';

export type Json = Record<string, unknown>;

/** The least that a file must hold. */
export const minimal: Json = {
  db: {
    policy_db: { url: 'postgres://user:pa55word@db.example.org:5432/policies?sslmode=disable' },
    appmetrics_db: { url: 'postgresql://user:pa55word@db.example.org/metrics' },
  },
  scalingEngine: { scaling_engine_url: 'https://engine.example.org:6104' },
  metricCollector: {
    metric_collector_url: 'log-cache:8080',
    tls: { key_file: '/certs/client.key', cert_file: '/certs/client.crt', ca_file: '/certs/ca.crt' },
  },
  server: {
    tls: { key_file: '/certs/server.key', cert_file: '/certs/server.crt', ca_file: '/certs/ca.crt' },
  },
  defaultStatWindowSecs: 120,
  defaultBreachDurationSecs: 300,
};

/** The minimal file with one more value; a dot separates sections. */
export function minimalWith(values: Json): Json {
  const root = structuredClone(minimal);
  for (const [key, value] of Object.entries(values)) {
    const path = key.split('.');
    const last = path.pop() ?? '';
    let section = root;
    for (const name of path) section = (section[name] ??= {}) as Json;
    section[last] = value;
  }
  return root;
}

/** Loads a file with this content (JSON is YAML) outside Cloud Foundry. */
export function loadFile(content: Json | string, env: NodeJS.ProcessEnv = {}): LoadedConfig {
  const text = typeof content === 'string' ? content : JSON.stringify(content);
  return loadConfig({ file: 'eg.yml', env, readFile: () => text, hostname: 'vm-7' });
}

export const ownOrg = 'own-org';
export const ownSpace = 'own-space';

/** What Cloud Foundry sets for the first instance of an app without services. */
export function cloudFoundryEnv(changes: NodeJS.ProcessEnv = {}): NodeJS.ProcessEnv {
  return {
    VCAP_APPLICATION: JSON.stringify({ organization_id: ownOrg, space_id: ownSpace, name: 'eventgenerator' }),
    VCAP_SERVICES: '{}',
    PORT: '8080',
    CF_INSTANCE_INDEX: '0',
    CF_INSTANCE_GUID: 'instance-guid',
    CF_INSTANCE_CERT: '/etc/cf-instance-credentials/instance.crt',
    CF_INSTANCE_KEY: '/etc/cf-instance-credentials/instance.key',
    ...changes,
  };
}

/** The least that the service's configuration must hold. */
export const minimalService: Json = {
  scalingEngine: { scaling_engine_url: 'https://engine.example.org' },
  metricCollector: {
    metric_collector_url: 'https://log-cache.example.org',
    uaa: { url: 'https://uaa.example.org', client_id: 'eg', client_secret: 's3cr3t' },
  },
  defaultStatWindowSecs: 120,
  defaultBreachDurationSecs: 120,
};

export const databaseCredentials: Json = { uri: 'postgres://user:pa55word@db.example.org/autoscaler' };

export function service(name: string, tags: readonly string[], credentials: unknown): Json {
  return { name, tags, credentials };
}

export function vcapServices(...services: readonly Json[]): string {
  return JSON.stringify({ 'user-provided': services });
}

/** Bound services with this configuration and one database for both. */
export function boundTo(
  configuration: unknown = minimalService,
  database: Json = databaseCredentials,
): string {
  return vcapServices(
    service('config', ['eventgenerator-config'], { 'eventgenerator-config': configuration }),
    service('database', ['policy_db', 'appmetrics_db'], database),
  );
}

export function loadOnCloudFoundry(configuration: unknown, env: NodeJS.ProcessEnv = {}): LoadedConfig {
  return loadConfig({ env: cloudFoundryEnv({ VCAP_SERVICES: boundTo(configuration), ...env }) });
}

/** The text that the operator sees. */
export function refusal(load: () => unknown): string {
  try {
    load();
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
}

export function fixture(name: string): string {
  return readFileSync(
    fileURLToPath(new URL(`../../../test/config/fixtures/${name}`, import.meta.url)),
    'utf8',
  );
}
