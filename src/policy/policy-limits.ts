import { isLosslessNumber, parse } from 'lossless-json';
import { fieldOf } from '../util/field.js';

export interface PolicyLimits {
  readonly minInstances: number | null;
  readonly maxInstances: number | null;
}

/** The limits of a policy's text, which are the scaling engine's business otherwise; null where there is none. */
export function policyLimits(text: string | null): PolicyLimits {
  return limitsOf(parsed(text));
}

/** The same of a text that was parsed with numbers as lossless-json has them. */
export function limitsOf(policy: unknown): PolicyLimits {
  const limit = (name: string): number | null => {
    const value = fieldOf(policy, name);
    // Digits by the hundred thousand would take long to convert.
    if (!isLosslessNumber(value) || !/^\d{1,10}$/.test(value.value)) return null;
    const instances = Number(value.value);
    return instances <= maxLimit ? instances : null;
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
    return parse(text ?? 'null', null, { onDuplicateKey: ({ newValue }) => newValue });
  } catch {
    return null;
  }
}

/** Far beyond every quota. */
const maxLimit = 1_000_000_000;
