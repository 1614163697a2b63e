import type { FaultEffect } from '../diary.js';
import type { Member } from '../member.js';
import type { Random } from '../random.js';
import type { Stage } from '../stage.js';

/** How long after the last fault of a wave every app must have been collected again, beyond one interval. */
export const usualRecoverySecs = 30;

/** Something that can go wrong. */
export interface FaultKind {
  /** `area.what`: of one area one fault at most is in force at a time. */
  readonly name: string;
  readonly effects?: readonly FaultEffect[];
  /** How long after its end apps may not be collected yet, beyond one interval; default: as usual. */
  readonly recoverySecs?: number;
  /** Longest time in force, in seconds; the shortest is a quarter of it. */
  readonly longestSecs: number;
  /** Lets it happen. Resolves to what exactly, and how to end it. */
  begin(stage: Stage, random: Random): Promise<RunningFault> | RunningFault;
}

export interface RunningFault {
  readonly detail: string;
  /** How much the wall clocks of members go ahead; negative: behind. */
  readonly aheadMs?: number;
  /** The only app that it happens to. */
  readonly app?: string;
  end(): unknown;
}

/** Of members that run now; all have the same chance. */
export function someMember({ members }: Stage, random: Random): Member {
  const running = members.filter((member) => member.isRunning && !member.isFrozen);
  return random.pick(running.length > 0 ? running : members);
}

/** One member, or all of them. */
export function someMembers(stage: Stage, random: Random): readonly Member[] {
  return random.chance(0.5) ? stage.members : [someMember(stage, random)];
}

export function indexes(members: readonly Member[]): string {
  return `member ${members.map(({ index }) => index).join(', ')}`;
}

/** Does something again and again until it is stopped. */
export function repeat(everyMs: number, act: () => unknown): () => Promise<void> {
  let last: Promise<unknown> = Promise.resolve(act());
  const timer = setInterval(() => (last = last.then(act)), everyMs);
  return async () => {
    clearInterval(timer);
    await last;
  };
}
