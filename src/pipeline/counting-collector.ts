import type { AppCollector } from '../collection/plan/collect-app.js';
import type { AppMetricWriter } from '../history/app-metric-writer.js';
import { containerCounts } from '../history/container-counts.js';
import { msToNs } from '../util/clock.js';

/** So often all counts are stored, also those that have not changed; ms. Bounds what is remembered of apps that are gone. */
const repeatMs = 3_600_000;

/** Stores how many containers an app had, where that changes. For observers, whose values are compared with others'. */
export function countingCollector(
  collector: AppCollector,
  writer: Pick<AppMetricWriter, 'add'>,
): AppCollector {
  const known = new Map<string, string>();
  let forgetAtNs = 0n;
  return {
    collect(request) {
      const parts = collector.collect(request);
      const { appId, endNs: timestampNs } = request;
      void parts.gauges.then(({ containers }) => {
        if (!containers) return;
        if (timestampNs >= forgetAtNs) {
          known.clear();
          forgetAtNs = timestampNs + msToNs(repeatMs);
        }
        const counts = `${containers.web} ${containers.others}`;
        if (known.get(appId) === counts) return;
        known.set(appId, counts);
        for (const name of ['web', 'others'] as const) {
          const value = BigInt(containers[name]);
          writer.add([{ appId, metricType: containerCounts[name], value, unit: '', timestampNs }]);
        }
      });
      return parts;
    },
  };
}
