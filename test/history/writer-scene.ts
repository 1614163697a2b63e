import type { AppMetric } from '../../src/history/app-metric.js';
import type { AppMetricStore } from '../../src/history/app-metric-store.js';
import { AppMetricWriter, type AppMetricWriterOptions } from '../../src/history/app-metric-writer.js';
import type { Logger } from '../../src/observability/logger.js';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';

export const saveIntervalMs = 5_000;

/** A writer, the rows that it wrote, and what it said. */
export class WriterScene {
  readonly clock = new ManualClock();
  readonly metrics = createMetrics();
  readonly log: [event: string, data: unknown][] = [];
  readonly written: AppMetric[] = [];
  insert: AppMetricStore['insert'] = async (rows) => void this.written.push(...rows);
  writer = this.create();

  create(changes: Partial<AppMetricWriterOptions> = {}): AppMetricWriter {
    const logger: Logger = {
      ...silentLogger,
      info: (event, data) => void this.log.push([event, data]),
      error: (event, _error, data) => void this.log.push([event, data]),
      child: () => logger,
    };
    const { clock, metrics } = this;
    const store: Pick<AppMetricStore, 'insert'> = { insert: (...args) => this.insert(...args) };
    return new AppMetricWriter({
      store,
      clock,
      logger,
      metrics,
      saveIntervalMs,
      random: () => 0,
      ...changes,
    });
  }

  async end(): Promise<void> {
    this.insert = () => Promise.resolve();
    await this.writer.flush(0);
  }

  async value(name: string): Promise<unknown> {
    const metric = await this.metrics.registry.getSingleMetric(`autoscaler_eventgenerator_${name}`)?.get();
    const values = metric?.values ?? [];
    return name.includes('lost')
      ? Object.fromEntries(
          values.filter((entry) => entry.value > 0).map((entry) => [entry.labels['reason'], entry.value]),
        )
      : values[0]?.value;
  }

  async counts() {
    return {
      buffered: await this.value('app_metric_writer_buffered_rows'),
      written: await this.value('app_metric_rows_written_total'),
      lost: await this.value('app_metric_rows_lost_total'),
    };
  }
}

export const row = (n: number, changes: Partial<AppMetric> = {}): AppMetric => ({
  appId: 'app',
  metricType: 'cpu',
  unit: '%',
  value: 1n,
  timestampNs: BigInt(n),
  ...changes,
});
export const rows = (count: number, from = 1) => Array.from({ length: count }, (_, i) => row(from + i));
