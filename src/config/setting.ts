import { parseGoDuration } from './go-duration.js';
import { Literal, describeRaw, type RawScalar } from './raw.js';

/** How a scalar becomes a typed value. Stricter than convict, which would turn "20" into 20 and any text into true. */
export interface ValueType<T> {
  /** What is accepted, in words. */
  readonly allowed: string;
  /** undefined: the scalar has another type. */
  read(raw: RawScalar): T | undefined;
  /** What is wrong with a scalar of another type, where that can be said better. */
  hint?(raw: RawScalar): string | undefined;
}

/** One key of the configuration, in the form of a convict schema: its type, default and range. */
export interface Setting<T> {
  readonly type: ValueType<T>;
  readonly default: T;
  /** Never shown in a message. */
  readonly sensitive?: boolean;
  /** An environment variable that wins over every other source unless it is empty. */
  readonly env?: string;
  /** What is wrong with the value, as the rest of a sentence that begins with the key. */
  problemOf?(value: T): string | undefined;
}

export interface Section {
  readonly [key: string]: Setting<unknown> | Section;
}

export function isSetting(entry: Setting<unknown> | Section): entry is Setting<unknown> {
  return 'default' in entry;
}

/** The typed values of a section. */
export type Values<S> = { readonly [K in keyof S]: S[K] extends Setting<infer T> ? T : Values<S[K]> };

export const textType: ValueType<string> = {
  allowed: 'a text',
  read: (raw) => (raw instanceof Literal ? raw.text : raw),
};

/** Words that are booleans in YAML 1.1, besides true and false; in lower case. */
const truthWords: Readonly<Record<string, boolean>> = {
  y: true,
  yes: true,
  on: true,
  n: false,
  no: false,
  off: false,
};

export const flagType: ValueType<boolean> = {
  allowed: 'true or false',
  read(raw) {
    if (raw instanceof Literal) return typeof raw.value === 'boolean' ? raw.value : undefined;
    const word = raw.toLowerCase();
    return Object.hasOwn(truthWords, word) ? truthWords[word] : undefined;
  },
};

export const integerType: ValueType<number> = {
  allowed: 'an integer',
  read(raw) {
    const value = Number(integerOf(raw));
    return Number.isSafeInteger(value) ? value : undefined;
  },
};

/** As Go's YAML reader takes integers: underscores part digits, and a leading zero makes them octal. */
function integerOf(raw: RawScalar): number | string | undefined {
  const isQuoted = typeof raw === 'string' && !raw.includes('_');
  if (isQuoted || (raw instanceof Literal && typeof raw.value === 'boolean')) return undefined;
  const text = raw instanceof Literal ? raw.text : raw;
  const [, sign = '', digits] = /^([-+]?)(\d[\d_]*)$/.exec(text) ?? [];
  if (digits === undefined) return raw instanceof Literal ? Number(raw.value) : undefined;
  const plain = digits.replaceAll('_', '');
  return sign + (/^0[0-7]+$/.test(plain) ? Number(`0o${plain}`) : plain);
}

/** Keeps the text, for messages. Go rejects a number without a unit as well, but for 0. */
export const durationType: ValueType<string> = {
  allowed: 'a duration such as "40s", "1m30s" or "2h"',
  read(raw) {
    const text = typeof raw === 'string' ? raw : raw.text;
    return parseGoDuration(text) === undefined ? undefined : text;
  },
  hint(raw) {
    const text = typeof raw === 'string' ? raw : raw.text;
    return /^[-+]?[\d.]{1,20}$/.test(text) ? `${text} needs a unit, e.g. ${text}s` : undefined;
  },
};

type Check = (value: string) => string | undefined;

export const text = (problemOf?: Check): Setting<string> => ({
  type: textType,
  default: '',
  ...(problemOf && { problemOf }),
});

export const secret = (problemOf?: Check): Setting<string> => ({ ...text(problemOf), sensitive: true });

export const flag = <T extends boolean | null>(fallback: T): Setting<boolean | T> => ({
  type: flagType,
  default: fallback,
});

/** One of a few words, in any case. */
export const choice = <T extends string | null>(
  fallback: T,
  words: readonly string[],
  env?: string,
): Setting<string | T> => ({
  type: textType,
  default: fallback,
  ...(env !== undefined && { env }),
  problemOf(value) {
    if (value === null || words.includes(value.toLowerCase())) return undefined;
    const also = env === undefined ? '' : ` (also for ${env})`;
    return `is ${describeRaw(value)}, allowed are ${words.filter(Boolean).join(', ')}${also}`;
  },
});

/** An integer that Go does not check: 0 and below mean "not limited" or "not set". */
export const integer = <T extends number | null>(fallback: T): Setting<number | T> => ({
  type: integerType,
  default: fallback,
});

export const port = (fallback: number): Setting<number> => ({
  ...integer<number>(fallback),
  problemOf: (value) =>
    value >= 0 && value <= 65535 ? undefined : `is out of range: it is ${value}, allowed are 0 to 65535`,
});

/** No count or size means anything beyond 32 bits, and arrays end there. */
const maxCount = 2 ** 31 - 1;

export const count = (fallback: number): Setting<number> => ({
  ...integer<number>(fallback),
  problemOf(value) {
    if (value >= 1 && value <= maxCount) return undefined;
    const wrong = value < 1 ? 'is less-equal than 0' : 'is too large';
    return `${wrong}: it is ${value}, allowed are integers from 1 to ${maxCount}`;
  },
});

export const secondsBetween = (least: number, most: number): Setting<number | null> => ({
  ...integer(null),
  problemOf(value) {
    if (value !== null && value >= least && value <= most) return undefined;
    return `should be between ${least} and ${most} seconds: it is ${value ?? 'missing'}`;
  },
});

const leastInterval = 1_000_000n;
/** 24 days: timers of 2^31 ms and more would fire at once, again and again. */
const longestInterval = 24n * 24n * 3_600_000_000_000n;

/** A time to wait. */
export const interval = (fallback: string): Setting<string> => ({
  type: durationType,
  default: fallback,
  problemOf(value) {
    const nanoseconds = parseGoDuration(value) ?? 0n;
    const allowed = `it is ${describeRaw(value)}, allowed are durations from 1ms to 576h such as "40s"`;
    if (nanoseconds <= 0n) return `is less-equal than 0: ${allowed}`;
    if (nanoseconds < leastInterval) return `is less than 1ms: ${allowed}`;
    return nanoseconds > longestInterval ? `is more than 576h: ${allowed}` : undefined;
  },
});

/** An age at which something ends; 0 and below: never. */
export const age = (): Setting<string> => ({ type: durationType, default: '0s' });
