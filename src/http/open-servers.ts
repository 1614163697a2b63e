import { rejectSlowHashes } from './bcrypt-cost.js';
import { Servers, type ServersConfig, type ServersOptions } from './servers.js';
import type { Releasers } from '../util/releasers.js';
import { openIssuers, openServerTls } from './open-server-tls.js';
import type { ProcessContext } from '../observability/process-context.js';

/** Opens the HTTP servers. They respond to health checks while the other parts start. */
export async function openServers(
  config: ServersConfig,
  context: ProcessContext,
  releasers: Releasers,
  parts: Pick<
    ServersOptions,
    'history' | 'lifecycle' | 'readinessChecks' | 'isObserver' | 'apiModules' | 'pages'
  >,
): Promise<Servers> {
  const { clock, logger, metrics } = context;
  await rejectSlowHashes(config.health.basicAuth, clock);
  const xfccCa = config.cfServer.xfcc.ca;
  const issuers = xfccCa && (await openIssuers(xfccCa, 'cf_server.xfcc.ca_file', context, releasers));
  const servers = new Servers(config, {
    clock,
    logger,
    metrics,
    tls: await openServerTls(config, context, releasers),
    ...(issuers && { xfccIssuers: issuers }),
    ...parts,
  });
  releasers.add('servers', () => servers.close());
  await servers.listen();
  return servers;
}
