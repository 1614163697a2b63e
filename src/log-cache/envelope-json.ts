import { badAnswer, number, object, show, text } from './json-fields.js';
import type { GaugeEnvelope, GaugeMetric } from './log-cache.js';

/** One envelope of a /read answer; one of another type than GAUGE has no metrics. */
export function parseEnvelope(entry: unknown): GaugeEnvelope {
  const envelope = object(entry, 'envelope');
  const timestamp = envelope['timestamp'];
  // The timestamp is the cursor of paging: a guess here could end the paging early and truncate a value.
  if (typeof timestamp !== 'string' || !/^-?\d{1,19}$/.test(timestamp)) {
    throw badAnswer(`timestamp is ${show(timestamp)}, not nanoseconds in a string`);
  }
  const gauge = object(envelope['gauge'] ?? {}, 'gauge');
  return {
    timestamp,
    sourceId: text(envelope['source_id'], 'source_id'),
    instanceId: text(envelope['instance_id'], 'instance_id'),
    // Not checked tag by tag: there are twenty in each of thousands of envelopes, and they are only ever compared.
    tags: object(envelope['tags'] ?? {}, 'tags') as Record<string, string>,
    metrics: Object.entries(object(gauge['metrics'] ?? {}, 'metrics')).map(parseMetric),
  };
}

function parseMetric([name, entry]: [string, unknown]): GaugeMetric {
  const metric = object(entry, `gauge "${name}"`);
  // proto JSON may leave a zero out.
  return { name, unit: text(metric['unit'], 'unit'), value: number(metric['value'] ?? 0, `gauge "${name}"`) };
}
