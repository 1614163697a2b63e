import { parse, parseNumberAndBigInt } from 'lossless-json';
import { fieldOf } from '../util/field.js';

export interface PolicyLimits {
  readonly minInstances: number | null;
  readonly maxInstances: number | null;
}

/** The limits of a policy's text, which are the scaling engine's business otherwise; null where there is none. */
export function policyLimits(text: string | null): PolicyLimits {
  const policy = parsed(text);
  const limit = (name: string): number | null => {
    const value = fieldOf(policy, name);
    return typeof value === 'bigint' && value >= 0n && value <= maxLimit ? Number(value) : null;
  };
  return { minInstances: limit('instance_min_count'), maxInstances: limit('instance_max_count') };
}

/** Whether the policy has schedules, while which other limits count. */
export function hasSchedules(text: string | null): boolean {
  const schedules = fieldOf(parsed(text), 'schedules');
  return ['recurring_schedule', 'specific_date'].some((kind) => {
    const list = fieldOf(schedules, kind);
    return Array.isArray(list) && list.length > 0;
  });
}

function parsed(text: string | null): unknown {
  try {
    return parse(text ?? 'null', null, {
      parseNumber: parseNumberAndBigInt,
      onDuplicateKey: ({ newValue }) => newValue,
    });
  } catch {
    return null;
  }
}

/** Far beyond every quota. */
const maxLimit = 1_000_000_000n;
