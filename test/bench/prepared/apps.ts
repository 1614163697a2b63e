import { guidOf, hashText, mix } from '../../platform/deterministic.js';

/*
 * What the prepared platform's apps report, as plain functions of app, instance and time, so that the platform need
 * not store anything and a benchmark can compute what an app metric should be.
 */

/** Diego's report interval, in microseconds like all times here: log-cache's resolution. */
const tickUs = 15_000_000;

/** The i-th app of a benchmark. */
export function appGuid(i: number): string {
  return guidOf(i);
}

/** One app as the platform sees it. */
export interface PreparedApp {
  readonly guid: string;
  readonly seed: number;
  readonly instances: number;
  /** From this time on its cpu is high; Infinity for never. */
  readonly breachesFromUs: number;
}

export function preparedApp(guid: string, instances: number, breachesFromUs = Infinity): PreparedApp {
  return { guid, seed: hashText(guid), instances, breachesFromUs };
}

/** Offset of an instance's ticks; instances live on different cells, whose tickers are not synchronised. */
function phaseUs({ seed }: Pick<PreparedApp, 'seed'>, instance: number): number {
  return mix(seed, instance) % tickUs;
}

interface GaugeValues {
  readonly unit: string;
  /** All of one length, so that a rendered envelope can be filled in by overwriting. */
  readonly texts: readonly string[];
  readonly highTexts?: readonly string[];
}

const variety = 997;

function texts(text: (i: number) => string): string[] {
  return Array.from({ length: variety }, (_, i) => text(i));
}

/** Gauges of a container, as many characters as real ones have. */
const gauges: Readonly<Record<string, GaugeValues>> = {
  cpu: {
    unit: 'percentage',
    texts: texts((i) => (10.001 + i * 0.049).toFixed(3)),
    // One high sample among dozens must be enough to lift a mean over a threshold of 80 at once.
    highTexts: texts((i) => (9000.1 + i).toFixed(1)),
  },
  memory: { unit: 'bytes', texts: texts((i) => String(104_857_600 + i * 700_001)) },
  memory_quota: { unit: 'bytes', texts: ['1073741824'] },
  disk: { unit: 'bytes', texts: texts((i) => String(134_217_728 + i * 80_001)) },
  disk_quota: { unit: 'bytes', texts: ['2147483648'] },
  cpu_entitlement: { unit: 'percentage', texts: texts((i) => (20.001 + i * 0.079).toFixed(3)) },
};

export function gaugeUnit(name: string): string | undefined {
  return gauges[name]?.unit;
}

/** The JSON number of one gauge of one instance at the tick at timeUs. Of one length for every time. */
export function gaugeText(name: string, app: PreparedApp, instance: number, timeUs: number): string {
  const values = gauges[name];
  if (!values) throw new Error(`no container has the gauge ${name}`);
  const high = timeUs >= app.breachesFromUs ? values.highTexts : undefined;
  const choice = high ?? values.texts;
  return choice[mix(app.seed + instance, Math.floor(timeUs / tickUs)) % choice.length] ?? '';
}

/** Requests per second of each instance, in every window. */
export function requestRate({ seed }: Pick<PreparedApp, 'seed'>, instance: number): number {
  return 1 + (mix(seed, 7_000 + instance) % 4_000) / 40;
}

/** Response time of each instance in ms, in every window. */
export function responseTimeMs({ seed }: Pick<PreparedApp, 'seed'>, instance: number): number {
  return 5 + (mix(seed, 9_000 + instance) % 4_000) / 40;
}

/** Times of an instance's ticks in [fromUs, toUs), newest first. */
export function ticksOf(app: PreparedApp, instance: number, fromUs: number, toUs: number): number[] {
  const phase = phaseUs(app, instance);
  const ticks: number[] = [];
  for (let tick = Math.ceil((toUs - phase) / tickUs) - 1; ; tick--) {
    const timeUs = tick * tickUs + phase;
    if (timeUs < fromUs) return ticks;
    ticks.push(timeUs);
  }
}
