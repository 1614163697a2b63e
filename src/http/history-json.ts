import type { AppMetric } from '../history/app-metric.js';

/** A JSON array of all. */
export function historyJson(appMetrics: readonly AppMetric[]): string {
  return `[${appMetrics.map(createToJson()).join(',')}]`;
}

/**
 * Made by hand, because the timestamp must stay an exact integer beyond 2^53. Names and unit are mostly those of the
 * app metric before, so their JSON is kept.
 */
export function createToJson(): (appMetric: AppMetric) => string {
  let appId: string | undefined;
  let metricType: string | undefined;
  let unit: string | undefined;
  let names = '';
  let unitAndKey = '';
  return (appMetric) => {
    if (appMetric.appId !== appId || appMetric.metricType !== metricType) {
      ({ appId, metricType } = appMetric);
      names = `{"app_id":${JSON.stringify(appId)},"name":${JSON.stringify(metricType)},"value":"`;
    }
    if (appMetric.unit !== unit) {
      unit = appMetric.unit;
      unitAndKey = `","unit":${JSON.stringify(unit)},"timestamp":`;
    }
    return `${names}${appMetric.value ?? ''}${unitAndKey}${appMetric.timestampNs}}`;
  };
}
