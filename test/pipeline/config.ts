import type { Config, TlsConfig } from '../../src/config/config.js';
import { standardAccounts, type Platform } from '../platform/platform.js';
import { databaseConfig } from '../support/database-config.js';

/** How the eventgenerator talks to log-cache. Tests of the whole pipeline run once for each. */
export const transports = ['rest', 'grpc'] as const;
export type Transport = (typeof transports)[number];

const noTls: TlsConfig = { key: null, cert: null, ca: null };

export interface PipelineUrls {
  readonly policyDb: string;
  readonly appMetricsDb: string;
}

/**
 * The configuration of an eventgenerator that works for the platform, with intervals of a few seconds, which the
 * harness's clock makes fractions of one.
 */
export async function pipelineConfig(
  platform: Platform,
  urls: PipelineUrls,
  transport: Transport,
): Promise<Config> {
  const { key, chain } = await platform.issueCertificate('eventgenerator');
  const tls: TlsConfig = { key: { pem: key }, cert: { pem: chain }, ca: { pem: platform.ca } };
  return {
    onCloudFoundry: false,
    logging: { level: 'debug' },
    apiServer: { port: 0, tls },
    cfServer: { port: 0, tls: noTls, xfcc: { validOrgGuid: '', validSpaceGuid: '', ca: null } },
    healthServer: { port: 0, tls: noTls },
    health: { basicAuth: { username: null, password: null }, readinessEnabled: true },
    policyDb: databaseConfig(urls.policyDb),
    appMetricsDb: databaseConfig(urls.appMetricsDb),
    pool: { mode: 'static', static: { totalInstances: 1, instanceIndex: 0 } },
    instance: { guid: 'pipeline', index: 0 },
    aggregator: {
      collectionIntervalMs: 2_000,
      policyPollerIntervalMs: 3_000,
      saveIntervalMs: 1_000,
      metricPollerCount: 20,
      metricCacheSizePerApp: 10,
    },
    evaluator: { mode: 'act', observedRetentionMs: 172_800_000, evaluationIntervalMs: 2_000 },
    scalingEngine: { url: platform.urls.scalingEngine, tls },
    logCache: logCacheConfig(platform, transport, tls),
    defaultStatWindowSecs: 20,
    defaultBreachDurationSecs: 5,
    circuitBreaker: {
      backOffInitialIntervalMs: 300_000,
      backOffMaxIntervalMs: 7_200_000,
      consecutiveFailureCount: 3,
    },
    httpClientTimeoutMs: 20_000,
  };
}

function logCacheConfig(platform: Platform, transport: Transport, tls: TlsConfig): Config['logCache'] {
  switch (transport) {
    case 'rest':
      return {
        url: platform.urls.logCache,
        tls: { ...noTls, ca: { pem: platform.ca } },
        uaa: {
          url: platform.urls.uaa,
          clientId: standardAccounts.clientId,
          clientSecret: standardAccounts.clientSecret,
          grant: { type: 'client_credentials' },
          skipSslValidation: false,
        },
      };
    case 'grpc':
      return { url: platform.logCacheGrpc, tls, uaa: null };
  }
}
