/*
 * What log-cache would answer for apps of three web instances, as Diego and the syslog ingress fill it: one gauge an
 * envelope, with all its tags. The text of an envelope is prepared but for its timestamp and value, so that answers
 * cost little and still depend on the window that is asked for.
 */

const instancesPerApp = 3;
const tickUs = 15_000_000;
/** µs between the two bursts of gauges that a container sends in one tick. */
const secondBurstUs = 37;
/** The log limiter reports on a timer of its own. */
const logRateUs = 4_200_113;

interface Gauge {
  readonly name: string;
  readonly unit: string;
  readonly delayUs: number;
  /** Taken in turn, tick by tick. */
  readonly values: readonly string[];
}

const gauges: readonly Gauge[] = [
  gauge('cpu', 'percentage', 0, '12.75', '0', '48.123456789', '97.00000012', '3.5', '61.25', '22.9', '8.1'),
  gauge('memory', 'bytes', 0, '268435456', '271581184', '275906560', '270532608'),
  gauge('disk', 'bytes', 0, '134217728'),
  gauge('memory_quota', 'bytes', 0, '536870912'),
  gauge('disk_quota', 'bytes', 0, '1073741824'),
  gauge('container_age', 'nanoseconds', secondBurstUs, '86400000000000', '86415000000000'),
  gauge('cpu_entitlement', 'percentage', secondBurstUs, '43.21098765', '"NaN"', '12.5', '77.7'),
  gauge('absolute_usage', 'nanoseconds', secondBurstUs, '91234567890123', '91239067890123'),
  gauge('absolute_entitlement', 'nanoseconds', secondBurstUs, '191234567890123', '191239067890123'),
  gauge('log_rate', 'B/s', logRateUs, '0', '1204'),
  gauge('log_rate_limit', 'B/s', logRateUs, '-1'),
];

function gauge(name: string, unit: string, delayUs: number, ...values: string[]): Gauge {
  return { name, unit, delayUs, values };
}

export interface Window {
  readonly startNs: bigint;
  readonly endNs: bigint;
  readonly limit: number;
  readonly descending: boolean;
  /** Matches anywhere in a gauge's name. */
  readonly filter: RegExp;
}

interface Found {
  readonly timeUs: number;
  readonly tick: number;
  readonly instance: number;
  readonly gauge: Gauge;
}

/** The body of a /read answer. */
export function readAnswer(appId: string, window: Window): string {
  const wanted = gauges.filter(({ name }) => window.filter.test(name));
  const startUs = Number((window.startNs + 999n) / 1_000n);
  const endUs = Number((window.endNs + 999n) / 1_000n);
  const found: Found[] = [];
  for (let instance = 0; instance < instancesPerApp; instance++) {
    const phaseUs = hash(`${appId} ${instance}`) % tickUs;
    for (const each of wanted) {
      const offsetUs = phaseUs + each.delayUs;
      let tick = Math.ceil((startUs - offsetUs) / tickUs);
      for (let timeUs = tick * tickUs + offsetUs; timeUs < endUs; timeUs += tickUs, tick++) {
        found.push({ timeUs, tick, instance, gauge: each });
      }
    }
  }
  found.sort(window.descending ? (a, b) => b.timeUs - a.timeUs : (a, b) => a.timeUs - b.timeUs);
  return `{"envelopes":{"batch":[${found.slice(0, window.limit).map(render(appId)).join(',')}]}}\n`;
}

function render(appId: string): (found: Found) => string {
  const middles = middlesOf(appId);
  return ({ timeUs, tick, instance, gauge: { name, unit, values } }) =>
    `{"timestamp":"${timeUs}000${middles[instance]}${name}":{"unit":"${unit}","value":${values[tick % values.length]}}}}}`;
}

const preparedMiddles = new Map<string, readonly string[]>();

/** From behind the timestamp to before the gauge's name, by instance. */
function middlesOf(appId: string): readonly string[] {
  let middles = preparedMiddles.get(appId);
  if (!middles) {
    middles = Array.from({ length: instancesPerApp }, (_, instance) => middleOf(appId, instance));
    preparedMiddles.set(appId, middles);
  }
  return middles;
}

function middleOf(appId: string, instance: number): string {
  const tags = {
    app_id: appId,
    app_name: 'shop',
    deployment: 'cf',
    index: `5b0c3f0e-7a51-4f5e-9d5e-2f6d1f0a0c0${instance}`,
    instance_id: String(instance),
    ip: `10.0.1.${instance + 7}`,
    job: 'diego-cell',
    organization_id: 'c1f4c1d2-3c9e-4b53-b3a1-6f2f5c2d7e10',
    organization_name: 'acme',
    origin: 'rep',
    process_id: appId,
    process_instance_id: `6a2f4c1e-0d3b-4d55-7c61-${hash(`${appId} ${instance}`).toString(16).padStart(8, '0').slice(0, 4)}`,
    process_type: 'web',
    source_id: appId,
    space_id: '0e9a7c55-56a8-4d8f-8f7b-0a4c5e1b2d3f',
    space_name: 'production',
  };
  return (
    `","source_id":"${appId}","instance_id":"${instance}","deprecated_tags":{},"tags":${JSON.stringify(tags)},` +
    '"gauge":{"metrics":{"'
  );
}

/** The body of a /query answer: every app asked for has requests on all its instances. */
export function queryAnswer(query: string, timeSecs: string): string {
  const ids = /source_id=~?["']([^"']*)["']/.exec(query)?.[1]?.split('|') ?? [];
  const bySource = query.includes('by (source_id');
  const samples = ids.flatMap((appId) =>
    Array.from({ length: instancesPerApp }, (_, instance) => {
      const source = bySource ? `,"source_id":"${appId}"` : '';
      return `{"metric":{"instance_id":"${instance}"${source}},"value":[${timeSecs}.000,"${(hash(appId) % 97) + instance}.475"]}`;
    }),
  );
  return `{"status":"success","data":{"resultType":"vector","result":[${samples.join(',')}]}}\n`;
}

function hash(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}
