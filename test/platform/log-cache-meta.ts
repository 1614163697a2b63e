import type { Apps } from './apps.js';
import type { AuthProxy } from './auth-proxy.js';
import type { Books } from './books.js';
import type { CloudController } from './cloud-controller.js';
import { nanoseconds } from './envelope.js';
import { hasFault, type Exchange } from './exchange.js';
import type { FaultSwitch } from './faults.js';
import { noGateway, notFound, serveUnder, type Counted } from './log-cache-gateway.js';
import type { LogCacheRoute } from './log-cache-route.js';
import type { LogCacheStore } from './log-cache-store.js';
import { metaOfSources, type SourceMeta } from './source-meta.js';

export interface MetaDependencies {
  readonly store: LogCacheStore;
  readonly apps: Apps;
  readonly proxy: AuthProxy;
  readonly route: LogCacheRoute;
  readonly cloudController: CloudController;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served'>;
}

/** /api/v1/meta. The proxy itself asks the gateway, whatever the method, and leaves out what the token may not read. */
export async function serveMeta(logCache: MetaDependencies, exchange: Exchange): Promise<void> {
  const faults = logCache.faults.meet('logCache', 'meta');
  await serveUnder(faults, 'meta', exchange, logCache.books, () =>
    hasFault(faults, 'unauthorized') ? notFound : metaAnswer(logCache, exchange, hasFault(faults, 'empty')),
  );
}

async function metaAnswer(
  { store, apps, proxy, route, cloudController }: MetaDependencies,
  exchange: Exchange,
  isEmpty: boolean,
): Promise<Counted> {
  const authorization = exchange.header('authorization');
  if (!proxy.allows(authorization, [])) return notFound;
  // A gateway that answers 503 is none for the proxy either.
  if (!route.isUp('gateway') || !route.gatewayIsConnected) return noGateway;
  const metas = [...(isEmpty ? [] : metaOfSources(store, apps))];
  const ids = metas.map(([id]) => id);
  // An admin may read everything, and nobody is asked about it.
  const canAsk =
    proxy.allows(authorization, ids, false) || (await cloudController.answers(ids, exchange.gone));
  const allowed = metas.filter(([id]) => proxy.allows(authorization, [id], canAsk));
  return {
    status: 200,
    body: metaJson(allowed),
    headers: { 'content-type': 'text/plain; charset=utf-8' },
    items: allowed.length,
  };
}

/** protojson with camelCase names, int64 as strings, and without what is zero. */
function metaJson(metas: readonly (readonly [string, SourceMeta])[]): string {
  const meta: Record<string, object> = {};
  for (const [id, { count, expired, oldestUs, newestUs }] of metas) {
    meta[id] = {
      count: String(count),
      ...(expired === 0 ? {} : { expired: String(expired) }),
      oldestTimestamp: nanoseconds(oldestUs),
      newestTimestamp: nanoseconds(newestUs),
    };
  }
  return JSON.stringify(metas.length === 0 ? {} : { meta }) + '\n';
}
