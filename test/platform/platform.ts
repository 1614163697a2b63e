import { systemClock, type Clock } from '../../src/util/clock.js';
import type { Logger } from '../../src/observability/logger.js';
import { silentLogger } from '../support/silent-logger.js';
import {
  createCertificateAuthority,
  type CertificateAuthority,
  type IssuedCertificate,
} from '../support/certificates.js';
import type { AppOptions } from './app-model.js';
import { Apps } from './apps.js';
import { AuthProxy } from './auth-proxy.js';
import { Books } from './books.js';
import { CloudController } from './cloud-controller.js';
import { FaultSwitch, serverNames, type ServerName } from './faults.js';
import { GrpcService } from './grpc-service.js';
import { HttpForwarder } from './http-forwarder.js';
import { HttpsService, type HttpsServiceOptions } from './https-service.js';
import { logCacheGrpcHandler } from './log-cache-grpc.js';
import { logCacheHandler } from './log-cache-server.js';
import { LogCacheNodes } from './log-cache-nodes.js';
import { LogCacheRoute } from './log-cache-route.js';
import { LogCacheStore, type StoreOptions } from './log-cache-store.js';
import { QueryCost } from './promql/cost.js';
import { scalingEngineHandler } from './scaling-engine-server.js';
import { ScalingEngine } from './scaling-engine.js';
import { TokenAuthority } from './token-authority.js';
import { Truth } from './truth.js';
import { UaaAccounts, type UaaClient, type UaaUser } from './uaa-accounts.js';
import { uaaHandler } from './uaa-server.js';

export interface PlatformOptions {
  readonly apps: readonly AppOptions[];
  readonly clock?: Clock;
  readonly log?: Logger;
  /** Equal seeds and equal times give equal metrics. */
  readonly seed?: number;
  /** Default: the clients and users of `standardAccounts`. */
  readonly clients?: Readonly<Record<string, UaaClient>>;
  readonly users?: Readonly<Record<string, UaaUser>>;
  readonly tokenLifetimeSecs?: number;
  /** Where a trigger brings none. */
  readonly defaultCoolDownSecs?: number;
  readonly retentionSecs?: number;
  readonly ingestLagMs?: number;
  /** Streams whose envelopes come late, see StoreOptions. Truth and audits take every envelope for punctual. */
  readonly lateMs?: StoreOptions['lateMs'];
  /** log-cache's MAX_PER_SOURCE; default 100,000. */
  readonly maxPerSource?: number;
  /** Machines that share log-cache's sources; default 1. */
  readonly logCacheNodes?: number;
  /** What PromQL queries take for each gauge, counter and timer of the apps asked for; default 25 µs. */
  readonly queryUsPerEnvelope?: number;
  /** PEM of authorities, beside the platform's own, whose certificates clients of the scaling engine may show. */
  readonly clientAuthorities?: readonly string[];
  /** 0 or absent: any free port. */
  readonly ports?: Partial<Readonly<Record<ServerName | 'logCacheGrpc', number>>>;
}

export interface Platform {
  readonly urls: Readonly<Record<ServerName, string>>;
  /** host:port of log-cache's gRPC API. Its certificate is, as on a BOSH VM, not for the host dialled. */
  readonly logCacheGrpc: string;
  /** PEM of the authority that signed the servers' certificates and must sign the clients'. */
  readonly ca: string;
  readonly apps: Apps;
  readonly logCache: LogCacheStore;
  /** The machines that hold its envelopes, which can be lost. */
  readonly logCacheNodes: LogCacheNodes;
  /** Its processes, each of which can be away. */
  readonly logCacheRoute: LogCacheRoute;
  /** Carries gorouter's http timers. */
  readonly httpForwarder: HttpForwarder;
  readonly truth: Truth;
  readonly books: Books;
  readonly faults: FaultSwitch;
  readonly accounts: UaaAccounts;
  readonly tokens: TokenAuthority;
  readonly scalingEngine: ScalingEngine;
  /** For clients of the scaling engine and of log-cache over gRPC, or any server that trusts the platform's authority. */
  issueCertificate(commonName: string): Promise<IssuedCertificate>;
  /** Takes a server down: connections break, new ones are refused. */
  takeDown(server: ServerName): Promise<void>;
  /** Brings it up again on the same port. */
  bringUp(server: ServerName): Promise<void>;
  stop(): Promise<void>;
}

/** Host names in the servers' certificate, for tests that resolve them. */
export const platformNames = {
  uaa: 'uaa.platform.test',
  logCache: 'log-cache.platform.test',
  scalingEngine: 'scaling-engine.platform.test',
  postgres: 'postgres.platform.test',
} as const;

/** A client and a user as operators set them up for the autoscaler. */
export const standardAccounts = {
  clientId: 'eventgenerator',
  clientSecret: 'eventgenerator-secret',
  userName: 'autoscaler@example.com',
  userPassword: 'autoscaler-password',
} as const;

/** As measured: 20,500 envelopes in half a second. */
const queryUsPerEnvelope = 25;

const adminScopes = ['doppler.firehose', 'logs.admin'];

/** The names in the certificate of log-cache's gRPC port; the host name that BOSH gives it is none of them. */
const logCacheNames = ['log_cache', 'log-cache', 'logcache'];

/** Starts UAA, log-cache (REST and gRPC) and the scaling engine on loopback, with the given apps under load. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  const model = await createModel(options);
  const authority = await createCertificateAuthority('Platform CA');
  const { services, grpc } = await createServices(options, model, authority);
  const { faults, route } = model;
  /** What goes down and comes up together. */
  const partsOf = (name: ServerName) => (name === 'logCache' ? [services.logCache, grpc] : [services[name]]);
  const stop = async () => {
    faults.clear();
    await Promise.all(serverNames.flatMap(partsOf).map((part) => part.stop()));
  };
  try {
    for (const part of serverNames.flatMap(partsOf)) await part.start();
  } catch (error) {
    await stop();
    throw error;
  }

  return {
    urls: {
      uaa: services.uaa.url,
      logCache: services.logCache.url,
      scalingEngine: services.scalingEngine.url,
    },
    logCacheGrpc: grpc.address,
    ca: authority.cert,
    apps: model.apps,
    logCache: model.store,
    logCacheNodes: model.nodes,
    logCacheRoute: route,
    httpForwarder: model.httpForwarder,
    truth: new Truth(model.apps, model.store),
    books: model.books,
    faults,
    accounts: model.accounts,
    tokens: model.tokens,
    scalingEngine: model.scalingEngine,
    issueCertificate: (commonName) =>
      authority.issue({ commonName, dnsNames: ['localhost'], ipAddresses: ['127.0.0.1', '::1'] }),
    takeDown: async (server) => {
      if (server === 'uaa') route.uaaIs(false);
      await Promise.all(partsOf(server).map((part) => part.stop()));
    },
    bringUp: async (server) => {
      await Promise.all(partsOf(server).map((part) => part.start()));
      if (server === 'uaa') route.uaaIs(true);
    },
    stop,
  };
}

/** What the servers know, without a network. */
async function createModel(options: PlatformOptions) {
  const clock = options.clock ?? systemClock;
  const retentionMs = (options.retentionSecs ?? 7200) * 1000;
  const context = {
    originUs: clock.now() * 1000,
    seed: options.seed ?? 1,
    retentionUs: retentionMs * 1000,
  };
  const apps = new Apps(context, clock);
  for (const app of options.apps) apps.add(app);
  const nodes = new LogCacheNodes(clock, options.logCacheNodes);
  const httpForwarder = new HttpForwarder(clock);
  const store = new LogCacheStore(apps, clock, {
    retentionMs,
    ingestLagMs: options.ingestLagMs ?? 0,
    nodes,
    httpForwarder,
    ...(options.lateMs ? { lateMs: options.lateMs } : {}),
    ...(options.maxPerSource === undefined ? {} : { maxPerSource: options.maxPerSource }),
  });
  return {
    clock,
    apps,
    nodes,
    route: new LogCacheRoute(clock, nodes),
    httpForwarder,
    store,
    cost: new QueryCost(store, apps, clock, options.queryUsPerEnvelope ?? queryUsPerEnvelope),
    books: new Books(clock),
    faults: new FaultSwitch(),
    accounts: new UaaAccounts(options.clients ?? standardClients, options.users ?? standardUsers, clock),
    tokens: await TokenAuthority.create('https://uaa.platform.example.com/oauth/token', clock),
    scalingEngine: new ScalingEngine(apps, clock, options.defaultCoolDownSecs ?? 300),
  };
}

/** The servers themselves. None listens yet. */
async function createServices(
  options: PlatformOptions,
  model: Awaited<ReturnType<typeof createModel>>,
  authority: CertificateAuthority,
) {
  const { clock, faults, accounts, tokens, scalingEngine } = model;
  const log = options.log ?? silentLogger;
  const certificate = await authority.issue({
    commonName: 'platform',
    dnsNames: ['localhost', ...Object.values(platformNames)],
    ipAddresses: ['127.0.0.1', '::1'],
  });
  const service = (name: ServerName, specific: Pick<HttpsServiceOptions, 'handle' | 'clientCa'>) =>
    new HttpsService({ name, certificate, clock, log, port: options.ports?.[name] ?? 0, ...specific });
  const uaa = service('uaa', {
    handle: uaaHandler({
      ...model,
      authority: tokens,
      tokenLifetimeSecs: options.tokenLifetimeSecs ?? 43_200,
      url: () => uaa.url,
    }),
  });
  const services: Record<ServerName, HttpsService> = {
    uaa,
    logCache: service('logCache', {
      handle: logCacheHandler({
        ...model,
        proxy: new AuthProxy(tokens, accounts),
        cloudController: new CloudController(faults),
      }),
    }),
    scalingEngine: service('scalingEngine', {
      clientCa: [authority.cert, ...(options.clientAuthorities ?? [])].join('\n'),
      handle: scalingEngineHandler({ ...model, engine: scalingEngine }),
    }),
  };
  const grpc = new GrpcService({
    name: 'logCacheGrpc',
    certificate: await authority.issue({ commonName: 'log-cache', dnsNames: logCacheNames }),
    clientCa: authority.cert,
    port: options.ports?.logCacheGrpc ?? 0,
    clock,
    log,
    handle: logCacheGrpcHandler(model),
  });
  return { services, grpc };
}

const standardClients: Readonly<Record<string, UaaClient>> = {
  [standardAccounts.clientId]: {
    secret: standardAccounts.clientSecret,
    grants: ['client_credentials'],
    authorities: adminScopes,
  },
  cf: { secret: '', grants: ['password', 'refresh_token'], tokenLifetimeSecs: 1200 },
};

const standardUsers: Readonly<Record<string, UaaUser>> = {
  [standardAccounts.userName]: {
    password: standardAccounts.userPassword,
    scopes: ['cloud_controller.read', 'openid', ...adminScopes],
  },
};
