import type { Tags } from '../envelope.js';
import type { PromqlResult } from './evaluate.js';

/** The success answer to a query, as log-cache's own marshaler writes it. Evaluation time in ms since the epoch. */
export function queryAnswerJson(result: PromqlResult, timeMs: number): string {
  return `{"status":"success","data":{"resultType":"${result.type}","result":${resultJson(result, timeMs)}}}\n`;
}

/** `errorType` is `bad_data` at the auth proxy and `internal` behind it. */
export function queryErrorJson(errorType: 'bad_data' | 'internal', error: string): string {
  return JSON.stringify({ status: 'error', errorType, error }) + '\n';
}

function resultJson(result: PromqlResult, timeMs: number): string {
  switch (result.type) {
    case 'scalar':
      return pointJson(timeMs, result.value);
    case 'vector':
      return `[${result.samples.map(({ labels, value }) => `{"metric":${labelsJson(labels)},"value":${pointJson(timeMs, value)}}`).join(',')}]`;
    case 'matrix':
      return `[${result.series
        .map(
          ({ labels, points }) =>
            `{"metric":${labelsJson(labels)},"values":[${points.map(({ timeUs, value }) => pointJson(timeUs / 1000, value)).join(',')}]}`,
        )
        .join(',')}]`;
  }
}

function pointJson(timeMs: number, value: number): string {
  return `[${(timeMs / 1000).toFixed(3)},"${printFloat(value)}"]`;
}

function labelsJson(labels: Tags): string {
  return JSON.stringify(Object.fromEntries(Object.entries(labels).sort(([a], [b]) => (a < b ? -1 : 1))));
}

/** Go's strconv format 'f' with the shortest precision: never an exponent. */
export function printFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '+Inf' : '-Inf';
  const text = String(value);
  const parts = /^(-?)(\d+)(?:\.(\d+))?e([+-]\d+)$/.exec(text);
  if (!parts) return text;
  const [, sign = '', whole = '', decimals = '', exponent = '0'] = parts;
  const shift = Number(exponent);
  const digits = whole + decimals;
  if (shift < 0) return `${sign}0.${'0'.repeat(-shift - 1)}${digits}`;
  return sign + digits.padEnd(shift + 1, '0');
}
