import { parse, parseNumberAndBigInt } from 'lossless-json';
import { nsToMs } from '../util/clock.js';
import { isInt64 } from '../util/int64.js';
import type { TriggerFailure, TriggerResult } from './trigger-result.js';

/** How the scaling engine calls its results in a 200; `failed` (1) never comes with one. */
const succeeded = 0n;
const ignored = 2n;

const maxQuotedChars = 300;

/** What a response of the scaling engine means; `engine` names it in messages. */
export function readResponse(status: number, body: string, engine: string): TriggerResult {
  if (status === 200) return readResult(body, engine);
  const said = `${engine} answered ${status}${quoteError(body)}`;
  const fault = failureOfStatus(status);
  return fault === 'rejected' && !isEngineError(body)
    ? failed(
        'unavailable',
        `${said}, which is no answer of a scaling engine: check its route and scaling_engine_url`,
      )
    : failed(fault, said);
}

function readResult(body: string, engine: string): TriggerResult {
  const fields = parseObject(body);
  const status = fields?.['status'];
  // Go leaves out numbers that are 0. Only `status` must be there, or anything would count as scaled.
  const adjustment = integer(fields?.['adjustment'] ?? 0n);
  const expiresNs = integer(fields?.['cool_down_expired_at'] ?? 0n);
  if (adjustment === null || expiresNs === null || (status !== succeeded && status !== ignored)) {
    return failed(
      'bad-answer',
      `${engine} answered 200, but not as a scaling engine does: ${quote(body)}; check scaling_engine_url`,
    );
  }
  const coolDownUntilMs = expiresNs > 0n ? ceilToMs(expiresNs) : null;
  if (status === succeeded) return { kind: 'scaled', adjustment: Number(adjustment), coolDownUntilMs };
  return coolDownUntilMs === null ? { kind: 'ignored' } : { kind: 'cooling-down', coolDownUntilMs };
}

/** 4xx of the Cloud Controller come through with their own status, e.g. 404 for an app that is gone. */
function failureOfStatus(status: number): TriggerFailure {
  if (status >= 500 || [401, 403, 408, 429].includes(status)) return 'unavailable';
  return status >= 400 ? 'rejected' : 'bad-answer';
}

/**
 * Errors of the engine are `{"code","message"}`. A router that has lost the engine's route answers 404 in plain text
 * for every app. Taken for a rejection of the app, that outage would silence app after app for minutes.
 */
function isEngineError(body: string): boolean {
  return typeof parseObject(body)?.['code'] === 'string';
}

/** Rounded up: a trigger in the last fraction of a millisecond would be ignored. */
function ceilToMs(ns: bigint): number {
  return nsToMs(ns + 999_999n);
}

/** An int64, or null for anything else. */
function integer(value: unknown): bigint | null {
  return typeof value === 'bigint' && isInt64(value) ? value : null;
}

/** `{"code","message"}` of the engine, or the beginning of what came instead; empty for an empty body. */
function quoteError(body: string): string {
  const fields = parseObject(body);
  const said = [fields?.['code'], fields?.['message']].filter((part) => typeof part === 'string').join(': ');
  return said || body ? ` (${quote(said || body)})` : '';
}

function quote(text: string): string {
  const line = text
    .slice(0, maxQuotedChars * 2)
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim();
  return line.length > maxQuotedChars ? `${line.slice(0, maxQuotedChars)}…` : line || 'an empty body';
}

/** A JSON object with its integers as bigint (nanoseconds are beyond what a number holds), null for anything else. */
function parseObject(body: string): Readonly<Record<string, unknown>> | null {
  try {
    const value = parse(body, null, parseNumberAndBigInt);
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

export function failed(fault: TriggerFailure, message: string): TriggerResult {
  return { kind: 'failed', fault, message };
}
