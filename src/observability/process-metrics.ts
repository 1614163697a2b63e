import { createHistogram } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';

/**
 * ms between two measurements of the event loop's lag. A task that blocks the loop may be measured too short by up to this
 * much, and a shorter one may be missed. At prom-client's 10 ms, measuring alone takes 1 % of a processor when idle.
 */
const usualResolutionMs = 250;
/** The same for a process that has next to nothing to do: there the measurement would be a third of its work. */
const idleResolutionMs = 1_000;
/** The share of the last period in which the loop was not waiting, below which the process is idle. */
const idleShare = 0.01;

const lag = 'nodejs_eventloop_lag';

/** Registers prom-client's metrics of the process, with a monitor of the event loop that costs less. */
export function collectProcessMetrics(registry: Registry, env: NodeJS.ProcessEnv): void {
  const never = 2 ** 31 - 1;
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: never });
  for (const { name } of registry.getMetricsAsArray()) {
    if (name.startsWith(lag)) registry.removeSingleMetric(name);
  }
  collectLoopLag(registry, resolutionOf(env));
}

/** ms until the next measurement, by the share of the last period in which the loop was not waiting. */
function resolutionOf(env: NodeJS.ProcessEnv): (share: number) => number {
  const text = env['EVENTGENERATOR_LOOP_RESOLUTION_MS'] ?? '';
  if (/^[1-9]\d{0,2}$/.test(text)) return () => Number(text);
  return (share) => (share < idleShare ? idleResolutionMs : usualResolutionMs);
}

/** By how much a timer is later than it should be. It is not node:perf_hooks' monitor, which is blind for a while after each reset. */
function collectLoopLag(registry: Registry, resolution: (share: number) => number): void {
  const lags = createHistogram();
  const lookAfter = (delayMs: number): void => {
    const dueMs = performance.now() + delayMs;
    const before = performance.eventLoopUtilization();
    setTimeout(() => {
      // 1 is the least that a histogram takes.
      lags.record(Math.max(1, Math.round((performance.now() - dueMs) * 1e6)));
      lookAfter(resolution(performance.eventLoopUtilization(before).utilization));
    }, delayMs).unref();
  };
  lookAfter(resolution(1));

  const gauge = (name: string, help: string, collect?: (this: Gauge) => void) =>
    new Gauge({ name: lag + name, help, registers: [registry], ...(collect && { collect }) });
  // Read first, because it is made first, and sets the others.
  gauge('_seconds', 'How long a callback of the event loop waited at the last scrape', function () {
    const askedMs = performance.now();
    setImmediate(() => this.set((performance.now() - askedMs) / 1000));
    for (const [figure, nanoseconds] of figures) figure.set(lags.count > 0 ? nanoseconds() / 1e9 : 0);
    lags.reset();
  });
  const figures = [
    [gauge('_min_seconds', 'The shortest lag of the event loop since the last scrape'), () => lags.min],
    [gauge('_max_seconds', 'The longest'), () => lags.max],
    [gauge('_mean_seconds', 'The mean'), () => lags.mean],
    [gauge('_stddev_seconds', 'The standard deviation'), () => lags.stddev],
    [gauge('_p50_seconds', 'The 50th percentile'), () => lags.percentile(50)],
    [gauge('_p90_seconds', 'The 90th percentile'), () => lags.percentile(90)],
    [gauge('_p99_seconds', 'The 99th percentile'), () => lags.percentile(99)],
  ] as const;
}
