import { isLosslessNumber, parse } from 'lossless-json';

/** The trigger as the scaling engine's Go structure holds it; absent fields have Go's zero values. */
export interface ScalingTrigger {
  readonly app_id: string;
  readonly metric_type: string;
  readonly metric_unit: string;
  readonly breach_duration_secs: bigint;
  readonly threshold: bigint;
  readonly operator: string;
  readonly cool_down_secs: bigint;
  readonly adjustment: string;
}

/** The trigger in a request's body, or undefined where Go's decoder would fail: no JSON, or a field of another type. */
export function parseTrigger(body: string): ScalingTrigger | undefined {
  try {
    const fields: unknown = parse(body);
    if (fields === null) return triggerOf({});
    if (typeof fields !== 'object' || Array.isArray(fields)) return undefined;
    return triggerOf(fields as Record<string, unknown>);
  } catch {
    return undefined;
  }
}

function triggerOf(fields: Record<string, unknown>): ScalingTrigger {
  return {
    app_id: text(fields['app_id']),
    metric_type: text(fields['metric_type']),
    metric_unit: text(fields['metric_unit']),
    breach_duration_secs: integer(fields['breach_duration_secs']),
    threshold: integer(fields['threshold']),
    operator: text(fields['operator']),
    cool_down_secs: integer(fields['cool_down_secs']),
    adjustment: text(fields['adjustment']),
  };
}

function text(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (typeof value !== 'string') throw new TypeError('not a string');
  return value;
}

/** A JSON number without fraction or exponent that fits int64. */
function integer(value: unknown): bigint {
  if (value === undefined || value === null) return 0n;
  if (!isLosslessNumber(value) || !/^-?\d+$/.test(value.value)) throw new TypeError('not an integer');
  const number = BigInt(value.value);
  if (BigInt.asIntN(64, number) !== number) throw new RangeError('beyond int64');
  return number;
}
