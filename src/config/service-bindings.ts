import type { PemSource, TlsConfig } from './config.js';
import type { Report } from './report.js';
import { readTree, type Tree } from './read-tree.js';
import { isObject, isUnfilled, serviceWithTag, textCredential, type BoundService } from './vcap.js';

/** Tag of the service with the configuration, and name of the credential that holds it. */
const configTag = 'eventgenerator-config';

export interface DatabaseBinding {
  /** undefined after a validation error. */
  readonly url: string | undefined;
  readonly tls: TlsConfig;
}

/** null if there is no such service, or if it cannot be read. */
export function readConfigService(
  services: readonly BoundService[],
  mayBeMissing: boolean,
  report: Report,
): Tree | null {
  const service = serviceWithTag(services, configTag, report);
  if (!service) {
    if (mayBeMissing) return null;
    report.environment(
      `no bound service has the tag '${configTag}': create one with the configuration as its credential '${configTag}' (cf create-user-provided-service … -t ${configTag}) and bind it`,
      'all',
    );
    return null;
  }
  if (isUnfilled(service, 'all', report)) return null;
  const credential = service.credentials[configTag];
  if (typeof credential !== 'string' && !isObject(credential)) {
    report.environment(
      `the service '${service.name}' has no credential '${configTag}' that is a JSON object, or a YAML or JSON text: update the service with the configuration under that name`,
      'all',
    );
    return null;
  }
  const source = `service '${service.name}'`;
  // JSON is YAML: both forms are read by the same rules.
  const text = typeof credential === 'string' ? credential : JSON.stringify(credential);
  const quoted = `the credential '${configTag}' of the ${source}`;
  return readTree(text, { source, quoted, rejectUnknownKeys: false }, report);
}

/** null if no service has the tag: the URL may be configured elsewhere. */
export function readDatabaseBinding(
  services: readonly BoundService[],
  tag: 'policy_db' | 'appmetrics_db',
  report: Report,
): DatabaseBinding | null {
  const service = serviceWithTag(services, tag, report);
  if (!service) return null;
  const affected = { key: `db.${tag}.url` };
  if (isUnfilled(service, affected, report)) return null;
  const where = `of the service '${service.name}'`;
  const url = textCredential(service, 'uri', affected, report);
  if (url === undefined && !isWrongType(service.credentials['uri'])) {
    report.environment(
      `the credential 'uri' ${where} is missing: the service has the tag '${tag}' and must hold a postgres:// URL`,
      affected,
    );
  }
  const pem = (name: string): PemSource | null => {
    const text = textCredential(service, name, affected, report);
    if (text === undefined) return null;
    if (!/-----BEGIN [A-Z0-9 ]+-----\r?\n/.test(text)) {
      report.environment(`the credential '${name}' ${where} is not PEM text with real line breaks`, affected);
    }
    return { pem: text };
  };
  const tls = { key: pem('client_key'), cert: pem('client_cert'), ca: pem('server_ca') };
  if ((tls.key === null) !== (tls.cert === null)) {
    report.environment(
      `the credentials 'client_cert' and 'client_key' ${where} must both be there, or neither`,
      affected,
    );
  }
  return { url, tls };
}

function isWrongType(credential: unknown): boolean {
  return credential !== undefined && credential !== null && typeof credential !== 'string';
}
