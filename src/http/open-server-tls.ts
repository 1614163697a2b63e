import type { ListenerConfig, PemSource } from '../config/config.js';
import type { ServerTls } from './server-tls.js';
import type { ServerName, ServersConfig } from './servers.js';
import type { Releasers } from '../util/releasers.js';
import { openCaCertificates, type CaCertificates } from '../tls/ca-certificates.js';
import { errorText } from '../util/errors.js';
import { openKeyPair } from '../tls/key-pair.js';
import type { ProcessContext } from '../observability/process-context.js';

/** The TLS material of all servers that have some. It is read again when its files change. */
export async function openServerTls(
  config: ServersConfig,
  context: ProcessContext,
  releasers: Releasers,
): Promise<Partial<Record<ServerName, ServerTls>>> {
  const { clock, metrics } = context;
  const logger = context.logger.child('http');
  const listeners = { api: config.apiServer, cf: config.cfServer, health: config.healthServer };
  const tls: Partial<Record<ServerName, ServerTls>> = {};
  for (const [name, listener] of Object.entries(listeners) as [ServerName, ListenerConfig | null][]) {
    const { key, cert, ca } = listener?.tls ?? { key: null, cert: null, ca: null };
    if (!key || !cert) continue;
    const pair = await openKeyPair({ key, cert, name: `${name}_server`, clock, logger, metrics });
    releasers.add(`${name} server certificate`, () => pair.close());
    const clientCa = ca && (await openIssuers(ca, `${sections[name]}.tls.ca_file`, context, releasers));
    tls[name] = { keyPair: pair, clientCa };
  }
  return tls;
}

const sections: Readonly<Record<ServerName, string>> = {
  api: 'server',
  cf: 'cf_server',
  health: 'health.server_config',
};

/** The CA certificates that may issue clients' certificates. Rejects with the configuration key, the file and the cause. */
export async function openIssuers(
  ca: PemSource,
  name: string,
  context: ProcessContext,
  releasers: Releasers,
): Promise<CaCertificates> {
  try {
    const logger = context.logger.child('http');
    const issuers = await openCaCertificates({ ...context, name, ca, logger });
    releasers.add(name, () => issuers.close());
    return issuers;
  } catch (cause) {
    throw new Error(`${name}: ${errorText(cause)}`, { cause });
  }
}
