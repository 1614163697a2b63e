import type { PemSource, TlsConfig } from './config.js';
import type { ValidationErrors } from './validation-errors.js';
import { keys } from './keys.js';
import { readTree, type ReadTree } from './read-tree.js';
import { isObject, isUnfilled, serviceWithTag, textCredential, type BoundService } from './vcap.js';
import { parseYamlMap, YamlError } from './yaml-text.js';

/** Tag of the service with the configuration, and name of the credential that holds it. */
const configTag = 'eventgenerator-config';

export interface DatabaseBinding {
  /** undefined after a fault. */
  readonly url: string | undefined;
  readonly tls: TlsConfig;
}

/** null if there is no such service, or if it cannot be read. */
export function readConfigService(
  services: readonly BoundService[],
  mayBeMissing: boolean,
  faults: ValidationErrors,
): ReadTree | null {
  const service = serviceWithTag(services, configTag, faults);
  if (!service) {
    if (mayBeMissing) return null;
    faults.environment(
      `no bound service has the tag '${configTag}': create one with the configuration as its credential '${configTag}' (cf create-user-provided-service … -t ${configTag}) and bind it`,
      'all',
    );
    return null;
  }
  if (isUnfilled(service, 'all', faults)) return null;
  const credential = service.credentials[configTag];
  if (typeof credential !== 'string' && !isObject(credential)) {
    faults.environment(
      `the service '${service.name}' has no credential '${configTag}' that is a JSON object, or a YAML or JSON text: update the service with the configuration under that name`,
      'all',
    );
    return null;
  }
  const source = `service '${service.name}'`;
  try {
    // JSON is YAML: both forms are read by the same rules.
    const root = parseYamlMap(typeof credential === 'string' ? credential : JSON.stringify(credential));
    return readTree(root, keys, { source, refuseUnknownKeys: false }, faults);
  } catch (error) {
    if (!(error instanceof YamlError)) throw error;
    faults.unreadable(`the credential '${configTag}' of the ${source} is malformed: ${error.message}`, 'all');
    return null;
  }
}

/** null if no service has the tag: the URL may be configured elsewhere. */
export function readDatabaseBinding(
  services: readonly BoundService[],
  tag: 'policy_db' | 'appmetrics_db',
  faults: ValidationErrors,
): DatabaseBinding | null {
  const service = serviceWithTag(services, tag, faults);
  if (!service) return null;
  const affected = { key: `db.${tag}.url` };
  if (isUnfilled(service, affected, faults)) return null;
  const where = `of the service '${service.name}'`;
  const url = textCredential(service, 'uri', affected, faults);
  if (url === undefined && !isWrongType(service.credentials['uri'])) {
    faults.environment(
      `the credential 'uri' ${where} is missing: the service has the tag '${tag}' and must hold a postgres:// URL`,
      affected,
    );
  }
  const pem = (name: string): PemSource | null => {
    const text = textCredential(service, name, affected, faults);
    if (text === undefined) return null;
    if (!/-----BEGIN [A-Z0-9 ]+-----\r?\n/.test(text)) {
      faults.environment(`the credential '${name}' ${where} is not PEM text with real line breaks`, affected);
    }
    return { pem: text };
  };
  const tls = { key: pem('client_key'), cert: pem('client_cert'), ca: pem('server_ca') };
  if ((tls.key === null) !== (tls.cert === null)) {
    faults.environment(
      `the credentials 'client_cert' and 'client_key' ${where} must both be there, or neither`,
      affected,
    );
  }
  return { url, tls };
}

function isWrongType(credential: unknown): boolean {
  return credential !== undefined && credential !== null && typeof credential !== 'string';
}
