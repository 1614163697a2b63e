import { createAuthorizedCollector, type Collector } from '../collection/authorized-collector.js';
import { createCollectorPool, type CollectorPool } from '../collection/collector-pool.js';
import type { CollectorWorkerData } from '../collection/job.js';
import { watchRefusals, type LogCacheHealth } from '../collection/log-cache-health.js';
import type { Config, PemSource } from '../config/config.js';
import type { Releasers } from '../releasers.js';
import { openKeyPair } from '../tls/key-pair.js';
import { trustedRoots } from '../tls/trust.js';
import { scopeProblem } from '../uaa/scope-problem.js';
import { createTokenSource, type TokenSource } from '../uaa/token-source.js';
import type { Surroundings } from './surroundings.js';

/** Reads of log-cache and PromQL queries, design section 4: a hung one must not hold a place for long. */
const readTimeoutMs = 5_000;
const queryTimeoutMs = 10_000;

export interface LogCacheCollector {
  readonly collector: Collector;
  readonly pool: CollectorPool;
  readonly health: LogCacheHealth;
  /** null over gRPC, where a client certificate is all it takes. */
  readonly tokens: TokenSource | null;
}

/** Threads that read log-cache over REST with a UAA token, or over gRPC with a client certificate where there is no UAA. */
export async function openLogCacheCollector(
  config: Pick<Config, 'logCache'>,
  surroundings: Surroundings,
  releasers: Releasers,
): Promise<LogCacheCollector> {
  const { clock, metrics } = surroundings;
  const logger = surroundings.logger.child('collection');
  const { uaa, url, tls } = config.logCache;
  let tokens: TokenSource | null = null;
  let logCache: CollectorWorkerData['logCache'];
  if (uaa) {
    const roots = await restRoots(tls.ca, surroundings);
    tokens = createTokenSource(uaa, { clock, metrics, roots, logger: surroundings.logger.child('uaa') });
    releasers.add('token source', tokens.close.bind(tokens));
    logCache = { transport: 'rest', url, ca: roots, skipSslValidation: uaa.skipSslValidation };
  } else {
    if (!tls.key || !tls.cert) {
      throw new Error(
        'log-cache over gRPC needs metricCollector.tls.key_file and cert_file; over HTTPS it needs metricCollector.uaa.url',
      );
    }
    const pair = await openKeyPair({
      key: tls.key,
      cert: tls.cert,
      name: 'log_cache',
      clock,
      logger,
      metrics,
    });
    releasers.add('log-cache certificate', () => pair.close());
    const ca = await trustedRoots({ ca: tls.ca, ...surroundings.trust, logger });
    const { key, cert } = pair.current();
    logCache = { transport: 'grpc', address: url, ca, key, cert };
  }

  const pool = createCollectorPool({
    workerData: { logCache, readTimeoutMs, queryTimeoutMs },
    clock,
    logger,
  });
  releasers.add('collector pool', () => pool.close());
  const { collector, health } = watchRefusals(createAuthorizedCollector(pool, tokens), {
    logger,
    explain: async () => (tokens ? scopeProblem(await tokens.authorization()) : null),
  });
  return { collector, pool, health, tokens };
}

/**
 * What is trusted over HTTPS: the system's authorities, and `ca_file` where it can be read. Many deployments name the
 * authority of log-cache's gRPC certificate there, which has nothing to do with the routes of UAA and log-cache.
 */
async function restRoots(ca: PemSource | null, { logger, trust }: Surroundings): Promise<string[]> {
  const system = await trustedRoots({ ca: null, ...trust, logger });
  const own = ca ? await trustedRoots({ ca, ...trust, logger }).catch(() => []) : [];
  return [...system, ...own];
}
