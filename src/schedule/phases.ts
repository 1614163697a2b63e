import { fnv1a32, mix32 } from '../util/hash.js';

/** Apps that share a slot can share a query. Short against every delay that matters. */
const slotMs = 500;

/**
 * The apps of a slot begin in groups, spread over it: hundreds of cycles at once would keep the processors busy for so
 * long that everything else has to wait. A group has this many apps or more, which can share queries.
 */
const appsPerGroup = 10;
/** A group every 16 ms. Where still more apps begin at once, the process is busy all the time anyway. */
const mostGroups = 32;

/** 0 ≤ phase < intervalMs: when the app's slot begins within the collection interval. */
export function phaseOf(appId: string, intervalMs: number): number {
  const share = shareOf(appId);
  const slots = slotsOf(intervalMs);
  return slots > 1 ? (Math.floor(share * slots) * intervalMs) / slots : share * intervalMs;
}

/** 0 ≤ delay < length of a slot: how long after the beginning of its slot an app of one of `groups` groups begins. */
export function delayInSlot(appId: string, intervalMs: number, groups: number): number {
  const slots = slotsOf(intervalMs);
  if (slots <= 1) return 0;
  const group = Math.floor(((shareOf(appId) * slots) % 1) * groups);
  return (group * intervalMs) / slots / groups;
}

/** Groups in a slot. A power of two: few apps more or less move none, and twice as many halve each group. */
export function groupsFor(apps: number, intervalMs: number): number {
  const appsPerSlot = (apps * slotMs) / intervalMs;
  const doublings = Math.floor(Math.log2(appsPerSlot / appsPerGroup));
  return Math.min(mostGroups, 2 ** Math.max(0, doublings));
}

/** 0 ≤ share < 1, evenly distributed over apps. */
function shareOf(appId: string): number {
  return mix32(fnv1a32(appId)) / 2 ** 32;
}

/** Slots in an interval; in a short interval apps are spread without slots. */
function slotsOf(intervalMs: number): number {
  return Math.floor(intervalMs / slotMs);
}
