import { readFile } from 'node:fs/promises';
import type { Config, PemSource } from '../config/config.js';
import type { ServerTls } from '../http/server-tls.js';
import type { ServerName } from '../http/servers.js';
import type { Releasers } from '../releasers.js';
import { openKeyPair } from '../tls/key-pair.js';
import type { Surroundings } from './surroundings.js';

/** The TLS material of all servers that have some; key pairs follow their files. */
export async function openServerTls(
  config: Config,
  { clock, logger, metrics }: Surroundings,
  releasers: Releasers,
): Promise<Partial<Record<ServerName, ServerTls>>> {
  const listeners = { api: config.apiServer, cf: config.cfServer, health: config.healthServer };
  const tls: Partial<Record<ServerName, ServerTls>> = {};
  for (const [name, listener] of Object.entries(listeners) as [ServerName, Config['apiServer']][]) {
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
    tls[name] = { keyPair: pair, clientCa: ca && (await pemText(ca)) };
  }
  return tls;
}

/** The text of PEM material that does not change while the process runs. Rejects with the file's name. */
export async function pemText(source: PemSource): Promise<string> {
  return 'pem' in source ? source.pem : readFile(source.file, 'utf8');
}
