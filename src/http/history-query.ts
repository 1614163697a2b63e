import { isInt64 } from '../util/int64.js';
import type { HistoryQuery } from '../history/history-reader.js';

/** A query parameter as it was parsed: absent, given once, or given several times. */
type Parameter = string | readonly string[] | undefined;

/** Other parameters (`page`, `results-per-page`) are ignored: the API server does the paging. */
export interface HistoryParameters {
  readonly start?: Parameter;
  readonly end?: Parameter;
  readonly order?: Parameter;
}

type Range = Pick<HistoryQuery, 'startNs' | 'endNs' | 'order'>;

/** The range asked for, or the error's message. Texts and order of the checks are those of the Go eventgenerator. */
export function parseHistoryRange(
  parameters: HistoryParameters,
  nowNs: bigint,
): Range | { rejection: string } {
  const { start, end, order } = parameters;

  if (isRepeated(start)) return { rejection: 'Incorrect start parameter in query string' };
  const startNs = start === undefined ? 0n : parseInt64(start);
  if (startNs === null) return { rejection: 'Error parsing start time' };

  if (isRepeated(end)) return { rejection: 'Incorrect end parameter in query string' };
  const endNs = end === undefined ? -1n : parseInt64(end);
  if (endNs === null) return { rejection: 'Error parsing end time' };

  if (isRepeated(order)) return { rejection: 'Incorrect order parameter in query string' };
  const direction = (order ?? 'ASC').toUpperCase();
  if (direction !== 'ASC' && direction !== 'DESC') {
    return { rejection: 'Incorrect order parameter in query string, the value can only be ASC or DESC' };
  }
  return { startNs, endNs: endNs < 0n ? nowNs : endNs, order: direction };
}

function isRepeated(parameter: Parameter): parameter is readonly string[] {
  return typeof parameter === 'object';
}

/** A decimal int64 with an optional sign; null for anything else. */
function parseInt64(text: string): bigint | null {
  if (!/^[+-]?\d+$/.test(text)) return null;
  const value = BigInt(text.replace(/^\+/, ''));
  return isInt64(value) ? value : null;
}
