import { parse, parseNumberAndBigInt } from 'lossless-json';

export interface PolicyLimits {
  readonly minInstances: number | null;
  readonly maxInstances: number | null;
}

/** The limits of a policy's text, which are the scaling engine's business otherwise; null where there is none. */
export function policyLimits(text: string | null): PolicyLimits {
  let policy: unknown;
  try {
    policy = parse(text ?? 'null', null, {
      parseNumber: parseNumberAndBigInt,
      onDuplicateKey: ({ newValue }) => newValue,
    });
  } catch {
    policy = null;
  }
  const limit = (name: string): number | null => {
    const value: unknown = typeof policy === 'object' && policy !== null ? Reflect.get(policy, name) : null;
    return typeof value === 'bigint' && value >= 0n && value <= maxLimit ? Number(value) : null;
  };
  return { minInstances: limit('instance_min_count'), maxInstances: limit('instance_max_count') };
}

/** Far beyond every quota. */
const maxLimit = 1_000_000_000n;
