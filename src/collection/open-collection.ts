import { RepeatedEvents } from '../observability/repeated-events.js';
import { createSecureContext } from 'node:tls';
import { createAuthorizedCollector, type Collector } from './plan/authorized-collector.js';
import { createCollectorPool, threadsFor, type CollectorPool } from './pool/collector-pool.js';
import { ConcurrencyLimit, mostInFlight } from './plan/concurrency-limit.js';
import type { CollectorWorkerData } from './pool/job.js';
import { watchLogCache, type LogCacheHealth } from './plan/log-cache-health.js';
import { QueryGate, type QueryHealth } from './plan/query-gate.js';
import type { Config } from '../config/config.js';
import type { Releasers } from '../util/releasers.js';
import { openCaCertificates, type CaCertificates } from '../tls/ca-certificates.js';
import { errorText } from '../util/errors.js';
import { trusting } from '../util/trusting.js';
import { openKeyPair } from '../tls/key-pair.js';
import { scopeProblem } from '../uaa/scope-problem.js';
import { TokenSource } from '../uaa/token-source.js';
import type { ProcessContext } from '../observability/process-context.js';

/** One that hangs must not hold a permit for long. */
const usualTimeouts = { readTimeoutMs: 5_000, queryTimeoutMs: 10_000 };

type LogCacheAccess = CollectorWorkerData['logCache'];

/** How threads reach log-cache: that changes when a source of it changes. */
interface FollowedAccess {
  /** Throws where it cannot be used for TLS. */
  current(): LogCacheAccess;
  readonly sources: readonly Pick<CaCertificates, 'onChange'>[];
}

export interface LogCacheCollector {
  readonly collector: Collector;
  readonly pool: Pick<CollectorPool, 'utilization' | 'queueSize'>;
  readonly health: LogCacheHealth;
  readonly queries: QueryHealth;
  /** null over gRPC, which needs a client certificate only. */
  readonly tokens: TokenSource | null;
}

export interface LogCacheCollectorConfig {
  readonly logCache: Config['logCache'];
  readonly aggregator: Pick<Config['aggregator'], 'metricPollerCount'>;
  /** Of reads and of PromQL queries; absent: the usual ones. */
  readonly timeouts?: Pick<CollectorWorkerData, 'readTimeoutMs' | 'queryTimeoutMs'>;
}

/** A read of gauges, and one for presence or timers. */
const readsPerCycle = 2;

/** Threads that read log-cache over REST with a UAA token, or over gRPC with a client certificate where there is no UAA. */
export async function openLogCacheCollector(
  config: LogCacheCollectorConfig,
  context: ProcessContext,
  releasers: Releasers,
): Promise<LogCacheCollector> {
  const { uaa, url, tls } = config.logCache;
  const { timeouts = usualTimeouts } = config;
  const { clock } = context;
  const logger = new RepeatedEvents({ ...context, logger: context.logger.child('collection') });
  const cycles = mostInFlight(config.aggregator.metricPollerCount);

  let tokens: TokenSource | null = null;
  let access: FollowedAccess;
  if (uaa) {
    const { skipSslValidation } = uaa;
    // Many deployments name the CA certificate of log-cache's gRPC server as ca_file. It has nothing to do with the
    // routes of UAA and log-cache, so it is trusted in addition to the system's, if it can be used.
    const roots = await openRoots(tls, true, context, releasers);
    const source = new TokenSource(uaa, { ...context, roots, logger: context.logger.child('uaa') });
    releasers.add('token source', () => source.close());
    tokens = source;
    access = {
      current: () => ({ transport: 'rest', url, ca: roots.current(), skipSslValidation }),
      sources: [roots],
    };
  } else {
    access = await openGrpcAccess(config.logCache, context, releasers);
  }
  const workerData = (): CollectorWorkerData => ({ logCache: access.current(), ...timeouts });
  const pool = createCollectorPool({
    workerData: workerData(),
    threads: threadsFor(cycles),
    mostJobs: readsPerCycle * cycles,
    clock,
    logger,
  });
  // Changed certificates get new threads; the old ones finish their jobs.
  for (const source of access.sources) source.onChange(() => pool.replace(workerData()));
  releasers.add('collector pool', () => pool.close());

  const watched = watchLogCache(createAuthorizedCollector(pool, tokens), {
    logger,
    explain: async () => (tokens ? scopeProblem(await tokens.authorization()) : certificateRejected),
  });
  const gate = new QueryGate(watched.collector, {
    clock,
    events: logger,
    metrics: context.metrics,
    limit: new ConcurrencyLimit(clock, config.aggregator.metricPollerCount),
    likelyCause: uaa ? cloudControllerMayHang : 'log-cache itself may be overloaded.',
  });
  return { collector: gate, pool, health: watched.health, queries: gate, tokens };
}

const cloudControllerMayHang =
  "log-cache's auth proxy asks the Cloud Controller before each query and never for a read: if gauges are collected, it is probably the Cloud Controller that hangs.";

const certificateRejected =
  'log-cache refuses every app to the client certificate in metricCollector.tls: use one that log-cache accepts';

async function openRoots(
  { ca }: Config['logCache']['tls'],
  besidesSystem: boolean,
  { clock, metrics, trust, logger: parent }: ProcessContext,
  releasers: Releasers,
): Promise<CaCertificates> {
  const logger = parent.child('collection');
  const name = 'metricCollector.tls.ca_file';
  const roots = await openCaCertificates({ name, ca, besidesSystem, trust, clock, logger, metrics });
  releasers.add('log-cache authorities', () => roots.close());
  return roots;
}

async function openGrpcAccess(
  { url: address, tls }: Config['logCache'],
  context: ProcessContext,
  releasers: Releasers,
): Promise<FollowedAccess> {
  const { clock, metrics } = context;
  if (!tls.key || !tls.cert) {
    throw new Error(
      'log-cache over gRPC needs metricCollector.tls.key_file and metricCollector.tls.cert_file; over HTTPS it needs metricCollector.uaa.url',
    );
  }
  try {
    const { key, cert } = tls;
    const logger = context.logger.child('collection');
    const pair = await openKeyPair({ key, cert, name: 'log_cache', clock, logger, metrics });
    releasers.add('log-cache certificate', () => pair.close());
    const roots = await openRoots(tls, false, context, releasers);
    const current = (): LogCacheAccess => {
      const ca = roots.current();
      const access = { transport: 'grpc', address, ca, ...pair.current() } as const;
      // Throws here, before anything has changed, instead of in every thread.
      createSecureContext({ ...access, ...trusting(ca) });
      return access;
    };
    current();
    return { current, sources: [pair, roots] };
  } catch (cause) {
    throw new Error(`log-cache over gRPC cannot use metricCollector.tls: ${errorText(cause)}`, { cause });
  }
}
