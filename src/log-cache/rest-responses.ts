import { parseEnvelope, parseTimer } from './envelope-json.js';
import { scanEnvelopes } from './envelope-scanner.js';
import { invalidResponse, field, list, number, object, parseObject, describeValue } from './json-fields.js';
import type { GaugeEnvelope, TimerEnvelope, VectorSample } from './log-cache.js';

/** The envelopes of a /read response, in its order. */
export function parseReadResponse(body: string): GaugeEnvelope[] {
  return scanEnvelopes(body) ?? parseEnvelopes(body);
}

/** The same from any JSON; slower. */
export function parseEnvelopes(body: string): GaugeEnvelope[] {
  return batchOf(body).map(parseEnvelope);
}

/** The envelopes of a /read response that has only timers. */
export function parseTimers(body: string): TimerEnvelope[] {
  return batchOf(body).map(parseTimer);
}

function batchOf(body: string): readonly unknown[] {
  const envelopes = field(parseObject(body), 'envelopes');
  return envelopes === null ? [] : list(object(envelopes, 'envelopes')['batch'], 'batch');
}

/** The samples of a /query response, which must be a vector. */
export function parseQueryResponse(body: string): VectorSample[] {
  const root = parseObject(body);
  if (root['status'] !== 'success')
    throw invalidResponse(`status is ${describeValue(root['status'])}, not "success"`);
  const data = object(field(root, 'data'), 'data');
  if (data['resultType'] !== 'vector') {
    throw invalidResponse(`resultType is ${describeValue(data['resultType'])}, not "vector"`);
  }
  return list(field(data, 'result'), 'result').map(parseSample);
}

function parseSample(entry: unknown): VectorSample {
  const sample = object(entry, 'sample');
  const [, value] = list(sample['value'], 'value');
  return {
    labels: object(sample['metric'] ?? {}, 'metric') as Record<string, string>,
    value: number(value, 'sample'),
  };
}
