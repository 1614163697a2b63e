import { Gauge, type Registry } from 'prom-client';
import type { Databases } from './database.js';
import type { PoolStats } from './pool.js';

const prefix = 'autoscaler_eventgenerator_';

/** Names that dashboards of the Go eventgenerator already read. All are gauges there. */
const poolGauges: readonly { name: string; help: string; read: (stats: PoolStats) => number }[] = [
  {
    name: 'max_open_connections',
    help: 'Maximum number of open connections to the database',
    read: (stats) => stats.maxOpenConnections,
  },
  {
    name: 'open_connections',
    help: 'Established connections, both in use and idle',
    read: (stats) => stats.openConnections,
  },
  { name: 'in_use', help: 'Connections in use now', read: (stats) => stats.inUse },
  { name: 'idle', help: 'Idle connections', read: (stats) => stats.idle },
  {
    name: 'wait_count',
    help: 'Times that a connection had to be waited for',
    read: (stats) => stats.waitCount,
  },
  {
    name: 'wait_duration',
    help: 'Total time waited for a connection, in nanoseconds',
    read: (stats) => Math.round(stats.waitDurationMs * 1e6),
  },
  {
    name: 'max_idle_closed',
    help: 'Connections closed because there were more idle ones than max_idle_connections',
    read: (stats) => stats.maxIdleClosed,
  },
  {
    name: 'max_lifetime_closed',
    help: 'Connections closed because they reached connection_max_lifetime',
    read: (stats) => stats.maxLifetimeClosed,
  },
];

/** Registers the pools' gauges, read at every scrape. A pool that both databases share reports under both names. */
export function registerPoolMetrics(
  registry: Registry,
  databases: Pick<Databases, 'policyDb' | 'appMetricsDb'>,
): void {
  const sources = { appMetricDB: databases.appMetricsDb, policyDB: databases.policyDb };
  for (const [source, database] of Object.entries(sources)) {
    for (const { name, help, read } of poolGauges) {
      new Gauge({
        name: `${prefix}${source}_${name}`,
        help: `${source}: ${help}`,
        registers: [registry],
        collect() {
          this.set(read(database.stats()));
        },
      });
    }
  }
}
