import { startPlatform } from '../platform/platform.js';
import type { PreparedApp } from './prepared/apps.js';
import { startGrpcFront } from './prepared/grpc-front.js';
import { startLogCache } from './prepared/log-cache.js';
import type { FromPlatform, PreparedPlatformOptions, ToPlatform } from './prepared/messages.js';
import { startScalingEngine } from './prepared/scaling-engine.js';

/*
 * The platform of the benchmarks, a process of its own: log-cache and scaling engine with prepared answers, and the
 * miniature platform's UAA and certificates. Started by startPreparedPlatform only.
 */

const options = JSON.parse(process.argv[2] ?? '{}') as PreparedPlatformOptions;
const tell = (message: FromPlatform) => process.send?.(message);

const platform = await startPlatform({ apps: [] });
const server = await platform.issueCertificate('prepared platform');
const special = new Map<string, PreparedApp>();
const logCache = await startLogCache({ key: server.key, cert: server.chain, special, ...options });
const grpc = await startGrpcFront({
  certificate: server,
  clientCa: platform.ca,
  delayMs: options.delayMs,
  answer: (path) => logCache.bodyFor(path),
  answered: (bytes, jsonBytes) => (logCache.counts.bytes += bytes - jsonBytes),
});
const scalingEngine = await startScalingEngine({ key: server.key, cert: server.chain, ca: platform.ca });

process.on('message', (message: ToPlatform) => {
  if (message.kind === 'special') for (const app of message.apps) special.set(app.guid, app);
  else {
    const { counts, largeApps } = logCache;
    tell({ kind: 'counts', logCache: counts, triggers: scalingEngine.triggers, largeApps });
  }
});
// The benchmark is gone, or done.
process.on('disconnect', () => process.exit());
// Ctrl-C reaches the whole group; the benchmark decides when the platform may end.
process.on('SIGINT', () => {});

tell({
  kind: 'ready',
  urls: {
    uaa: platform.urls.uaa,
    logCache: `https://127.0.0.1:${logCache.port}`,
    scalingEngine: `https://127.0.0.1:${scalingEngine.port}`,
  },
  logCacheGrpc: grpc.address,
  ca: platform.ca,
  certificate: await platform.issueCertificate('eventgenerator'),
});
