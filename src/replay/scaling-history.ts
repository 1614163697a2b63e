import { parse, parseNumberAndBigInt } from 'lossless-json';
import { nsToMs } from '../util/clock.js';
import type { InstanceCount } from './load-model.js';
import { fieldOf } from '../util/field.js';

export type InstanceCounts = readonly [InstanceCount, ...InstanceCount[]];

/** `problem` completes "the history cannot be used: …". */
export type ParsedHistory =
  | {
      readonly ok: true;
      readonly counts: InstanceCounts;
      /** The app that the history names; null where it names none. */
      readonly appId: string | null;
      /** Whether there are more pages than this one. */
      readonly isPartial: boolean;
    }
  | { readonly ok: false; readonly problem: string };

interface Entry {
  readonly atMs: number;
  readonly isDone: boolean;
  readonly from: number;
  readonly to: number;
}

/** How the API calls a scaling that was done. */
const succeeded = 0n;

/** As the API names it today, and as it did before. */
const appIdFields = ['app_guid', 'app_id'];

/**
 * Numbers of instances out of a scaling history: the JSON of the API (`/v1/apps/GUID/scaling_histories`), or the table
 * that `cf autoscaling-history` prints or writes.
 */
export function parseScalingHistory(text: string): ParsedHistory {
  const json = parseJson(text);
  const entries = json === undefined ? tableEntries(text) : jsonEntries(json);
  if (entries === null)
    return {
      ok: false,
      problem: 'it is neither the JSON of the API nor the table of `cf autoscaling-history`',
    };
  const counts = countsOf(entries);
  if (!counts) return { ok: false, problem: 'it has no entry' };
  const guid = listOf(json)
    ?.flatMap((entry) => appIdFields.map((name) => fieldOf(entry, name)))
    .find((id) => typeof id === 'string');
  const pages = fieldOf(json, 'total_pages');
  return {
    ok: true,
    counts,
    appId: typeof guid === 'string' ? guid : null,
    isPartial: typeof pages === 'bigint' && pages > 1n,
  };
}

/** The number of instances at a time; before the first entry that from which it began. */
export function instancesAt(counts: InstanceCounts, atMs: number): number {
  return (counts.findLast((count) => count.atMs <= atMs) ?? counts[0]).instances;
}

function countsOf(entries: readonly Entry[]): InstanceCounts | null {
  const sorted = entries.filter(({ from }) => from >= 0).sort((a, b) => a.atMs - b.atMs);
  const [first] = sorted;
  if (!first) return null;
  // What was ignored, or failed, still says how many instances there were.
  const counts = sorted.map(({ atMs, isDone, from, to }) => ({ atMs, instances: isDone ? to : from }));
  return [{ atMs: -Infinity, instances: first.from }, ...counts];
}

function parseJson(text: string): unknown {
  try {
    return parse(text, null, parseNumberAndBigInt);
  } catch {
    return undefined;
  }
}

function listOf(json: unknown): readonly unknown[] | null {
  const list = Array.isArray(json) ? json : fieldOf(json, 'resources');
  return Array.isArray(list) ? (list as readonly unknown[]) : null;
}

function jsonEntries(json: unknown): Entry[] | null {
  const entries = listOf(json)?.map((entry) => {
    const [timestamp, from, to] = ['timestamp', 'old_instances', 'new_instances'].map((name) =>
      fieldOf(entry, name),
    );
    if (typeof timestamp !== 'bigint' || typeof from !== 'bigint' || typeof to !== 'bigint') return null;
    // Go leaves out numbers that are 0.
    const isDone = (fieldOf(entry, 'status') ?? succeeded) === succeeded;
    return { atMs: nsToMs(timestamp), isDone, from: Number(from), to: Number(to) };
  });
  if (!entries) return null;
  const usable = entries.filter((entry) => entry !== null);
  return usable.length === entries.length ? usable : null;
}

const row =
  /^\s*\S+\s+(succeeded|failed|ignored)\s+(-?\d+)->(-?\d+)\s+(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|[-+]\d\d:\d\d))/gm;

function tableEntries(text: string): Entry[] | null {
  if (!/Instance Changes/i.test(text)) return null;
  return [...text.matchAll(row)].map(([, status, from, to, time = '']) => ({
    atMs: Date.parse(time),
    isDone: status === 'succeeded',
    from: Number(from),
    to: Number(to),
  }));
}
