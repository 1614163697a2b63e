import { envelopeTypes, type EnvelopeType } from './envelope.js';
import type { ReadParameters } from './log-cache-store.js';

/** A query string that the gateway cannot turn into a request: HTTP 400. */
export class BadParameter extends Error {
  override readonly name = 'BadParameter';
}

const int64 = { min: -(2n ** 63n), max: 2n ** 63n - 1n };
const truths: Readonly<Record<string, boolean>> = {
  '1': true,
  t: true,
  T: true,
  true: true,
  TRUE: true,
  True: true,
  '0': false,
  f: false,
  F: false,
  false: false,
  FALSE: false,
  False: false,
};

/** Parameters of /api/v1/read as grpc-gateway reads them: snake_case or camelCase, unknown ones ignored. */
export function readParametersOf(sourceId: string, query: URLSearchParams): ReadParameters {
  const descending = single(query, 'descending', 'descending');
  const truth = descending === undefined ? false : truths[descending];
  if (truth === undefined) throw unparsable('descending', descending ?? '');
  return {
    sourceId,
    startNs: integer(query, 'start_time', 'startTime'),
    endNs: integer(query, 'end_time', 'endTime'),
    limit: Number(integer(query, 'limit', 'limit')),
    types: [...query.getAll('envelope_types'), ...query.getAll('envelopeTypes')].flatMap(envelopeType),
    descending: truth,
    nameFilter: single(query, 'name_filter', 'nameFilter') ?? '',
  };
}

export function single(query: URLSearchParams, snake: string, camel = snake): string | undefined {
  const values = snake === camel ? query.getAll(snake) : [...query.getAll(snake), ...query.getAll(camel)];
  if (values.length > 1) throw new BadParameter(`too many values for field "${snake}": ${values.join(', ')}`);
  return values[0];
}

function integer(query: URLSearchParams, snake: string, camel: string): bigint {
  const text = single(query, snake, camel);
  if (text === undefined) return 0n;
  const value = /^[-+]?\d+$/.test(text) ? BigInt(text.replace('+', '')) : undefined;
  if (value === undefined || value < int64.min || value > int64.max) throw unparsable(snake, text);
  return value;
}

/** ANY means no filter, so it adds nothing. Enum names and numbers are both understood. */
function envelopeType(text: string): EnvelopeType[] {
  const numbered = ['ANY', ...envelopeTypes];
  const name = numbered[/^\d+$/.test(text) ? Number(text) : numbered.indexOf(text)];
  if (name === undefined) throw unparsable('envelope_types', text);
  return envelopeTypes.filter((type) => type === name);
}

function unparsable(name: string, text: string): BadParameter {
  return new BadParameter(`parsing field "${name}": invalid value ${JSON.stringify(text)}`);
}
