import type { StoredEnvelope } from '../platform/envelope.js';
import type { LogCacheStore } from '../platform/log-cache-store.js';
import type { StoredRow } from './audit.js';

/*
 * App metrics as the Go eventgenerator makes them of log-cache: of the oldest 100 envelopes of the stat window, with a
 * name filter that also matches longer names, with containers of all process types, and with 0 for usage that is missing.
 */

const MiB = 1_048_576;

interface GoMetricType {
  readonly nameFilter: string;
  readonly unit: string;
  /** The sample of what one instance reported at one time, if there is one. */
  readonly sample: (metrics: ReadonlyMap<string, number>) => number | undefined;
}

const percentage = (usage: string, quota: string) => (metrics: ReadonlyMap<string, number>) => {
  const limit = metrics.get(quota);
  return limit === undefined ? undefined : ((metrics.get(usage) ?? 0) / limit) * 100;
};

const gaugeTypes: Readonly<Record<string, GoMetricType>> = {
  cpu: { nameFilter: 'cpu', unit: '%', sample: (metrics) => metrics.get('cpu') },
  memoryused: {
    nameFilter: 'memory',
    unit: 'MB',
    sample: (metrics) => {
      const bytes = metrics.get('memory');
      return bytes === undefined ? undefined : bytes / MiB;
    },
  },
  memoryutil: {
    nameFilter: 'memory|memory_quota',
    unit: '%',
    sample: percentage('memory', 'memory_quota'),
  },
};

/** The row of one app and gauge at one time. */
export function goRow(
  store: Pick<LogCacheStore, 'read'>,
  { appId, metricType }: Pick<StoredRow, 'appId' | 'metricType'>,
  endNs: bigint,
  statWindowSecs: number,
): StoredRow {
  const is = gaugeTypes[metricType];
  if (!is) throw new Error(`no gauge of ${metricType}`);
  const envelopes = store.read({
    sourceId: appId,
    startNs: endNs - BigInt(statWindowSecs) * 1_000_000_000n,
    endNs,
    limit: 0,
    types: ['GAUGE'],
    descending: false,
    nameFilter: is.nameFilter,
  });
  const samples = [...byInstanceAndTime(envelopes).values()]
    .map(is.sample)
    .flatMap((sample) => (sample === undefined ? [] : [Math.ceil(sample)]));
  const sum = samples.reduce((total, sample) => total + sample, 0);
  const hasData = samples.length > 0;
  return {
    ...{ appId, metricType, timestampNs: endNs },
    value: hasData ? String(Math.ceil(sum / samples.length)) : '',
    unit: hasData ? is.unit : '',
  };
}

function byInstanceAndTime(envelopes: readonly StoredEnvelope[]): Map<string, Map<string, number>> {
  const groups = new Map<string, Map<string, number>>();
  for (const { body, instanceId, timestampUs } of envelopes) {
    if (body.type !== 'GAUGE') continue;
    const key = `${instanceId} ${timestampUs}`;
    const group = groups.get(key) ?? new Map<string, number>();
    groups.set(key, group);
    for (const [name, { value }] of Object.entries(body.metrics)) group.set(name, value);
  }
  return groups;
}
