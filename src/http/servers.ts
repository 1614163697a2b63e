import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../util/clock.js';
import type { Config, ListenerConfig } from '../config/config.js';
import type { HistoryReader } from '../history/history-reader.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { apiRoutes, type RouteModule } from './api-routes.js';
import { createBasicAuth } from './basic-auth.js';
import { createBcryptPool, type BcryptPool } from './bcrypt-pool.js';
import { sendError } from './error-responses.js';
import { healthRoutes, type Lifecycle } from './health-routes.js';
import { defaultLimits, type ServerLimits } from './limits.js';
import { createListener, type Listener, type ListenerMetrics } from './listener.js';
import { createReadiness, type ReadinessCheck } from './readiness.js';
import type { Renewable, ServerTls } from './server-tls.js';
import { requireXfcc } from './xfcc-guard.js';

export type ServerName = 'api' | 'cf' | 'health';

export type ServersConfig = Pick<
  Config,
  'onCloudFoundry' | 'apiServer' | 'cfServer' | 'healthServer' | 'health'
>;

export interface ServersOptions {
  readonly history: HistoryReader;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'registry'> & ListenerMetrics;
  readonly lifecycle: () => Lifecycle;
  readonly readinessChecks: readonly ReadinessCheck[];
  /** Required for each server whose configuration has key and certificate. */
  readonly tls: Readonly<Partial<Record<ServerName, ServerTls>>>;
  /** PEM of the CA certificates in `cfServer.xfcc.ca`; required where that is configured. */
  readonly xfccIssuers?: Renewable<readonly string[]>;
  /** Further routes with the authentication of the API. */
  readonly apiModules?: readonly RouteModule[];
  readonly isObserver?: boolean;
  /** Routes below `/health/apps`. */
  readonly pages?: RouteModule;
  readonly limits?: Partial<ServerLimits>;
}

/** The configured servers. None listens yet. */
export class Servers {
  readonly #logger: Logger;
  readonly #repeated: RepeatedEvents;
  readonly #bcrypt: BcryptPool;
  readonly #listeners = new Map<ServerName, Listener>();
  #closing: Promise<void> | undefined;

  constructor(
    private readonly config: ServersConfig,
    private readonly options: ServersOptions,
  ) {
    const { apiServer, cfServer, healthServer, onCloudFoundry } = config;
    const { clock, metrics } = options;
    this.#logger = options.logger.child('http');
    this.#repeated = new RepeatedEvents({ clock, metrics, logger: this.#logger });
    this.#bcrypt = createBcryptPool(clock);

    if (apiServer) this.#addApi(this.#add('api', apiServer, 'server.port'));
    const cf = this.#add('cf', cfServer, onCloudFoundry ? 'PORT (environment)' : 'cf_server.port');
    const rules = cfServer.xfcc;
    const issuers = rules.ca ? required(options.xfccIssuers, 'xfccIssuers') : null;
    void cf.register(async (guarded) => {
      requireXfcc(guarded, { rules, issuers, clock, metrics, logger: this.#logger.child('cf') });
      this.#addApi(guarded);
    });
    if (onCloudFoundry) this.#addHealth(cf, ['/health', '/health/*', '/metrics']);
    if (healthServer) {
      this.#addHealth(this.#add('health', healthServer, 'health.server_config.port'), ['/*']);
    }
    warnAboutRisks(config, this.#logger);
  }

  #add(name: ServerName, { port, tls }: ListenerConfig, portKey: string): FastifyInstance {
    const { clock, metrics, limits } = this.options;
    const listener = createListener({
      name: `${titles[name]} server`,
      port,
      portKey,
      tls: tls.key && tls.cert ? required(this.options.tls[name], `tls.${name}`) : null,
      logger: this.#logger.child(name),
      metrics,
      clock,
      limits: { ...defaultLimits, ...limits },
    });
    this.#listeners.set(name, listener);
    return listener.app;
  }

  #addApi(app: FastifyInstance): void {
    const { clock, history, apiModules = [] } = this.options;
    const logger = this.#repeated;
    for (const addRoutes of [apiRoutes({ history, clock, logger }), ...apiModules]) addRoutes(app);
    app.setNotFoundHandler((_request, reply) => sendError(reply, 404));
  }

  #addHealth(app: FastifyInstance, metricsPaths: readonly string[]): void {
    const { clock, metrics, lifecycle, readinessChecks, pages, isObserver = false } = this.options;
    const { basicAuth, readinessEnabled } = this.config.health;
    healthRoutes({
      metrics,
      basicAuth: createBasicAuth(basicAuth, this.#bcrypt),
      readiness: readinessEnabled ? createReadiness(readinessChecks, clock) : null,
      lifecycle,
      isObserver,
      clock,
      pages: pages ?? null,
      metricsPaths,
    })(app);
  }

  /** Starts all or none; rejects with the server, the port and the key that configures it. */
  async listen(host?: string): Promise<void> {
    const results = await Promise.allSettled(
      [...this.#listeners.values()].map((listener) => listener.listen(host)),
    );
    const failure = results.find((result) => result.status === 'rejected');
    if (!failure) return;
    await this.close();
    throw failure.reason;
  }

  /** Addresses of the servers that listen. */
  addresses(): Partial<Record<ServerName, AddressInfo>> {
    const entries = [...this.#listeners].map(([name, listener]) => [name, listener.address()] as const);
    return Object.fromEntries(entries.filter(([, address]) => address !== null));
  }

  /** Ends all servers within their deadline. Idempotent. */
  close(): Promise<void> {
    return (this.#closing ??= this.#closeAll());
  }

  async #closeAll(): Promise<void> {
    await Promise.all([...this.#listeners.values()].map((listener) => listener.close()));
    await this.#bcrypt.close();
  }
}

const titles: Record<ServerName, string> = { api: 'API', cf: 'CF', health: 'health' };

function required<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`Servers need ${name}: the configuration has files for it`);
  return value;
}

/** Settings that work, as in Go, but that an operator should choose deliberately. */
function warnAboutRisks(config: ServersConfig, logger: Logger): void {
  const { apiServer, cfServer, healthServer, health, onCloudFoundry } = config;
  const warn = (server: ServerName, risk: string) => logger.info('insecure-setting', { server, risk });

  if (apiServer && !(apiServer.tls.key && apiServer.tls.cert)) {
    warn(
      'api',
      'without server.tls.key_file and cert_file it speaks plain HTTP: anyone in the network may read and ask',
    );
  } else if (apiServer && !apiServer.tls.ca) {
    warn(
      'api',
      'without server.tls.ca_file it asks for no client certificate: anyone in the network may ask',
    );
  }
  if (!onCloudFoundry && !(cfServer.tls.key && cfServer.tls.cert)) {
    warn(
      'cf',
      'without cf_server.tls it speaks plain HTTP: whoever reaches the port can forge X-Forwarded-Client-Cert',
    );
  }
  if (cfServer.xfcc.validOrgGuid === '') {
    warn('cf', 'without cf_server.xfcc.valid_org_guid every request to the API is rejected');
  }
  if (!health.basicAuth.username && !health.basicAuth.password && (healthServer || onCloudFoundry)) {
    warn(
      healthServer ? 'health' : 'cf',
      'without health.basic_auth anyone who reaches the port may read the metrics',
    );
  }
}
