import type { LogLine } from '../../bench/processes/eventgenerator-process.js';
import type { Point } from './rows.js';

/** A member by its log. */
export interface Logged {
  readonly lines: readonly Pick<LogLine, 'message' | 'readAtMs'>[];
}

/** When members saw others come or go, so that apps moved. */
export function membershipChanges(members: readonly Logged[]): number[] {
  return timesOf(members, 'eventgenerator.ownership.members-changed');
}

function timesOf(members: readonly Logged[], wanted: string): number[] {
  return members.flatMap(({ lines }) =>
    lines.filter(({ message }) => message === wanted).map(({ readAtMs }) => readAtMs),
  );
}

/** A lease and a renewal after its last round a dead owner is missed. */
const missedAfterMs = 15_000;
/** A round under way when its app moved to another member. */
const longestLastRoundMs = 3_000;

/** Save interval, and a statement on a busy machine. */
const writtenAfterMs = 5_000;

/**
 * Whether the owner who judged the app at a time may not have known a point: the owner before wrote it after the new one
 * had read, or had not written it by then, because its process was frozen or the database away.
 */
export function mayBeUnknown(
  { atMs, writtenMs = atMs }: Pick<Point, 'atMs' | 'writtenMs'>,
  judgedMs: number,
  changesMs: readonly number[],
): boolean {
  if (writtenMs > judgedMs && judgedMs - atMs > writtenAfterMs) return true;
  return changesMs.some(
    (changeMs) => atMs >= changeMs - missedAfterMs && atMs <= changeMs + longestLastRoundMs,
  );
}

/** Whether two members may have taken the app for theirs: their views differ for a moment when members come and go. */
export function mayHaveTwoOwners(atMs: number, changesMs: readonly number[]): boolean {
  return changesMs.some((changeMs) => Math.abs(atMs - changeMs) <= longestLastRoundMs);
}

/** Until a member has read the histories of all apps that it has got, with a slow database. */
const longestTakeoverMs = 10_000;

/** Whether a member may still have been reading histories: until it has, silence of its apps proves no zero. */
export function mayLackHistories(atMs: number, changesMs: readonly number[]): boolean {
  return changesMs.some(
    (changeMs) => atMs >= changeMs - longestLastRoundMs && atMs <= changeMs + longestTakeoverMs,
  );
}

/** When members lost their leases: they could not reach the database, or were too slow. */
export function lostLeases(members: readonly Logged[]): number[] {
  return timesOf(members, 'eventgenerator.ownership.lost');
}
