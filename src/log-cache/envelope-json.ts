import { invalidResponse, type Json, number, object, describeValue, text } from './json-fields.js';
import type { GaugeEnvelope, GaugeMetric, TimerEnvelope } from './log-cache.js';

/** One envelope of a /read response; one of another type than GAUGE has no metrics. */
export function parseEnvelope(entry: unknown): GaugeEnvelope {
  const envelope = object(entry, 'envelope');
  const gauge = object(envelope['gauge'] ?? {}, 'gauge');
  return {
    ...parseHead(envelope),
    metrics: Object.entries(object(gauge['metrics'] ?? {}, 'metrics')).map(parseMetric),
  };
}

/** One envelope of a /read response that must be a timer. */
export function parseTimer(entry: unknown): TimerEnvelope {
  const envelope = object(entry, 'envelope');
  const timer = object(envelope['timer'], 'timer');
  const startNs = nanoseconds(timer['start'], 'start');
  const stopNs = nanoseconds(timer['stop'], 'stop');
  return { ...parseHead(envelope), durationNs: Number(BigInt(stopNs) - BigInt(startNs)) };
}

function parseHead(envelope: Json): Omit<TimerEnvelope, 'durationNs'> {
  return {
    // Paging goes by the timestamp: a guess could end it early, and a value would lack samples.
    timestamp: nanoseconds(envelope['timestamp'], 'timestamp'),
    sourceId: text(envelope['source_id'], 'source_id'),
    instanceId: text(envelope['instance_id'], 'instance_id'),
    // Not checked one by one: there are twenty in each of thousands of envelopes, and they are only compared.
    tags: object(envelope['tags'] ?? {}, 'tags') as Record<string, string>,
  };
}

function nanoseconds(value: unknown, what: string): string {
  if (typeof value === 'string' && /^-?\d{1,19}$/.test(value)) return value;
  throw invalidResponse(`${what} is ${describeValue(value)}, not nanoseconds in a string`);
}

function parseMetric([name, entry]: [string, unknown]): GaugeMetric {
  const metric = object(entry, `gauge "${name}"`);
  // proto JSON may leave a zero out.
  return { name, unit: text(metric['unit'], 'unit'), value: number(metric['value'] ?? 0, `gauge "${name}"`) };
}
