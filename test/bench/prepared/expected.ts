import { gaugeText, requestRate, ticksOf, type PreparedApp } from './apps.js';

/**
 * The app metric that the design's text demands, straight from what the instances report: every sample rounded up,
 * the mean of all samples in the stat window rounded up. As text, as it is stored.
 */
export function expectedAppMetric(
  app: PreparedApp,
  { metricType, timestampNs }: { readonly metricType: string; readonly timestampNs: bigint },
  { statWindowSecs }: { readonly statWindowSecs: number },
): string {
  const samples: number[] = [];
  // Bounds in whole microseconds, rounded up, as an envelope's timestamps are: the first at or after a bound.
  const toUs = Math.ceil(Number(timestampNs / 1_000n) + (timestampNs % 1_000n > 0n ? 1 : 0));
  for (let instance = 0; instance < app.instances; instance++) {
    if (metricType === 'throughput') {
      samples.push(Math.ceil(requestRate(app, instance)));
      continue;
    }
    for (const timeUs of ticksOf(app, instance, toUs - statWindowSecs * 1e6, toUs)) {
      const gauge = (name: string) => Number(gaugeText(name, app, instance, timeUs));
      samples.push(
        Math.ceil(
          metricType === 'memoryutil' ? (gauge('memory') * 100) / gauge('memory_quota') : gauge(metricType),
        ),
      );
    }
  }
  return String(Math.ceil(samples.reduce((sum, sample) => sum + sample, 0) / samples.length));
}
