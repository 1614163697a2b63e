import type { PemSource } from './config.js';
import type { Report } from './report.js';
import { systemReason } from './files.js';
import { describeRaw } from './raw.js';
import type { Tree } from './read-tree.js';
import { readConfigService, readDatabaseBinding, type DatabaseBinding } from './service-bindings.js';
import { parseVcapApplication, parseVcapServices, type BoundService } from './vcap.js';

/** What the platform says about this process and its bindings. */
export interface CloudFoundry {
  /** To be laid over the defaults and the file, in this order. */
  readonly trees: readonly Tree[];
  /** Empty where VCAP_APPLICATION does not say. */
  readonly organizationId: string;
  readonly spaceId: string;
  readonly instanceGuid: string;
  /** null if the platform does not say. */
  readonly instanceIndex: number | null;
  /** The instance identity certificate; null if the platform issues none. */
  readonly instanceTls: { readonly key: PemSource; readonly cert: PemSource } | null;
  readonly policyDb: DatabaseBinding | null;
  readonly appMetricsDb: DatabaseBinding | null;
}

/** `hasFile`: the configuration may stand in a file, so a missing configuration service is no error. */
export function readCloudFoundry(
  vcapApplication: string,
  env: NodeJS.ProcessEnv,
  hasFile: boolean,
  readFile: (path: string) => string,
  report: Report,
): CloudFoundry {
  const application = parseVcapApplication(vcapApplication, report);
  const services = readServices(env, hasFile, readFile, report);
  const configured = services && readConfigService(services, hasFile, report);
  const policyDb = services && readDatabaseBinding(services, 'policy_db', report);
  const appMetricsDb = services && readDatabaseBinding(services, 'appmetrics_db', report);
  const platform: Tree = {
    cf_server: readPort(env['PORT'], report),
    db: { policy_db: urlOf(policyDb), appmetrics_db: urlOf(appMetricsDb) },
  };
  return {
    trees: configured ? [configured, platform] : [platform],
    organizationId: application.organizationId,
    spaceId: application.spaceId,
    instanceGuid: env['CF_INSTANCE_GUID'] || application.instanceId,
    instanceIndex: indexOf(env['CF_INSTANCE_INDEX']) ?? application.instanceIndex,
    instanceTls: readInstanceTls(env, report),
    policyDb,
    appMetricsDb,
  };
}

/** null if they cannot be read. */
function readServices(
  env: NodeJS.ProcessEnv,
  hasFile: boolean,
  readFile: (path: string) => string,
  report: Report,
): BoundService[] | null {
  const services = parseServices(env, readFile, report);
  const root = env['SERVICE_BINDING_ROOT'];
  if (services?.length !== 0 || hasFile || !root) return services;
  // The platform's third way, one file for each credential: services may be bound, and must not be asked for again.
  report.environment(
    `SERVICE_BINDING_ROOT is ${describeRaw(root)}, and VCAP_SERVICES holds no service: bindings of the app feature service-binding-k8s are not read. Turn it off, or turn file-based-vcap-services on in its place, and restart the app`,
    'all',
  );
  return null;
}

/** The platform gives bindings as a variable or, where they would be too long for one, as a file. */
function parseServices(
  env: NodeJS.ProcessEnv,
  readFile: (path: string) => string,
  report: Report,
): BoundService[] | null {
  const path = env['VCAP_SERVICES_FILE_PATH'];
  const variable = env['VCAP_SERVICES'];
  if (variable || !path) return parseVcapServices('VCAP_SERVICES', variable, report);
  let text: string;
  try {
    text = readFile(path);
  } catch (error) {
    report.environment(
      `VCAP_SERVICES_FILE_PATH is ${describeRaw(path)}, which cannot be read: ${systemReason(error)}`,
      'all',
    );
    return null;
  }
  return parseVcapServices(`the file in VCAP_SERVICES_FILE_PATH (${describeRaw(path)})`, text, report);
}

function urlOf(binding: DatabaseBinding | null): Tree {
  return binding?.url === undefined ? {} : { url: binding.url };
}

function readPort(text: string | undefined, report: Report): Tree {
  if (text !== undefined && /^\d{1,5}$/.test(text) && Number(text) <= 65535) return { port: Number(text) };
  const found = text === undefined ? 'PORT is not set' : `PORT is ${describeRaw(text)}`;
  report.environment(
    `${found}, allowed is a TCP port from 0 to 65535; Cloud Foundry sets it for every process with a route or a port health check`,
  );
  return {};
}

function indexOf(text: string | undefined): number | null {
  return text !== undefined && /^\d{1,9}$/.test(text) ? Number(text) : null;
}

function readInstanceTls(env: NodeJS.ProcessEnv, report: Report): CloudFoundry['instanceTls'] {
  const cert = env['CF_INSTANCE_CERT'] || undefined;
  const key = env['CF_INSTANCE_KEY'] || undefined;
  if (cert !== undefined && key !== undefined) return { cert: { file: cert }, key: { file: key } };
  if (cert !== undefined)
    report.environment('CF_INSTANCE_CERT is set and CF_INSTANCE_KEY is not: set both or neither');
  if (key !== undefined)
    report.environment('CF_INSTANCE_KEY is set and CF_INSTANCE_CERT is not: set both or neither');
  return null;
}
