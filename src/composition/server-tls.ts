import type { ListenerConfig, PemSource } from '../config/config.js';
import type { ServerTls } from '../http/server-tls.js';
import type { ServerName, ServersConfig } from '../http/servers.js';
import type { Releasers } from '../releasers.js';
import { errorMessage } from '../tls/connection-error.js';
import { openKeyPair } from '../tls/key-pair.js';
import { readAuthorities } from '../tls/pem.js';
import type { Surroundings } from './surroundings.js';

/** The TLS material of all servers that have some; key pairs follow their files. */
export async function openServerTls(
  config: ServersConfig,
  { clock, logger, metrics }: Surroundings,
  releasers: Releasers,
): Promise<Partial<Record<ServerName, ServerTls>>> {
  const listeners = { api: config.apiServer, cf: config.cfServer, health: config.healthServer };
  const tls: Partial<Record<ServerName, ServerTls>> = {};
  for (const [name, listener] of Object.entries(listeners) as [ServerName, ListenerConfig | null][]) {
    const { key, cert, ca } = listener?.tls ?? { key: null, cert: null, ca: null };
    if (!key || !cert) continue;
    const pair = await openKeyPair({
      key,
      cert,
      name: `${name}_server`,
      clock,
      logger: logger.child('http'),
      metrics,
    });
    releasers.add(`${name} server certificate`, () => pair.close());
    tls[name] = { keyPair: pair, clientCa: ca && (await readIssuers(ca, `${sections[name]}.tls.ca_file`)) };
  }
  return tls;
}

const sections: Readonly<Record<ServerName, string>> = {
  api: 'server',
  cf: 'cf_server',
  health: 'health.server_config',
};

/** PEM of those who may issue clients' certificates. Rejects with the key of the configuration, the file and the cause. */
export async function readIssuers(source: PemSource, key: string): Promise<string> {
  try {
    return (await readAuthorities(source)).join('\n');
  } catch (cause) {
    throw new Error(`${key}: ${errorMessage(cause)}`, { cause });
  }
}
