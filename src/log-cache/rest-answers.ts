import { type GaugeEnvelope, type GaugeMetric, LogCacheError, type VectorSample } from './log-cache.js';

/*
 * log-cache's JSON, read tolerantly where proto JSON leaves room (absent or null fields, numbers as strings) and
 * refused where a guess could become a false value.
 */

type Json = Readonly<Record<string, unknown>>;

/** The envelopes of a /read answer, in the order of the answer. */
export function parseReadAnswer(body: string): GaugeEnvelope[] {
  const envelopes = field(parseObject(body), 'envelopes');
  if (envelopes === null) return [];
  return list(object(envelopes, 'envelopes')['batch'], 'batch').map(parseEnvelope);
}

/** The samples of a /query answer, which must be a vector. */
export function parseQueryAnswer(body: string): VectorSample[] {
  const root = parseObject(body);
  if (root['status'] !== 'success') throw badAnswer(`status is ${show(root['status'])}, not "success"`);
  const data = object(field(root, 'data'), 'data');
  if (data['resultType'] !== 'vector') {
    throw badAnswer(`resultType is ${show(data['resultType'])}, not "vector"`);
  }
  return list(field(data, 'result'), 'result').map(parseSample);
}

function parseEnvelope(entry: unknown): GaugeEnvelope {
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

function parseSample(entry: unknown): VectorSample {
  const sample = object(entry, 'sample');
  const [, value] = list(sample['value'], 'value');
  return {
    labels: object(sample['metric'] ?? {}, 'metric') as Record<string, string>,
    value: number(value, 'sample'),
  };
}

const namedNumbers = new Map([
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['+Infinity', Infinity],
  ['-Infinity', -Infinity],
  ['Inf', Infinity],
  ['+Inf', Infinity],
  ['-Inf', -Infinity],
]);

function number(value: unknown, what: string): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') {
    const parsed = namedNumbers.get(value) ?? Number(value.trim() === '' ? 'none' : value);
    if (!Number.isNaN(parsed) || value === 'NaN') return parsed;
  }
  throw badAnswer(`value of ${what} is ${show(value)}, not a number`);
}

function text(value: unknown, what: string): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw badAnswer(`${what} is ${show(value)}, not a string`);
  return value;
}

function field(json: Json, name: string): unknown {
  if (!(name in json)) throw badAnswer(`"${name}" is missing`);
  return json[name];
}

function object(value: unknown, what: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw badAnswer(`${what} is ${show(value)}, not an object`);
  }
  return value as Json;
}

function list(value: unknown, what: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw badAnswer(`${what} is ${show(value)}, not a list`);
  return value;
}

function parseObject(body: string): Json {
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw badAnswer(`the body is no JSON: ${show(body)}`, cause);
  }
  return object(parsed, 'the body');
}

function show(value: unknown): string {
  const shown = JSON.stringify(value) ?? 'absent';
  return shown.length > 80 ? `${shown.slice(0, 80)}…` : shown;
}

function badAnswer(message: string, cause?: unknown): LogCacheError {
  return new LogCacheError('bad-answer', `log-cache's answer cannot be read: ${message}`, { cause });
}
