import type { Random } from '../random.js';
import type { Stage } from '../stage.js';
import { indexes, someMembers, type FaultKind, type RunningFault } from './fault.js';

/** A step that nobody may notice, a part of a window, more than a window, more than every breach duration and cool-down. */
const jumpsMs = [1_700, 13_300, 87_300, 612_700];

async function jump(stage: Stage, random: Random, direction: 1 | -1): Promise<RunningFault> {
  const members = someMembers(stage, random);
  const aheadMs = direction * random.pick(jumpsMs);
  for (const member of members) await member.setClock(aheadMs);
  return {
    detail: `${aheadMs / 1000} s, ${indexes(members)}`,
    aheadMs,
    end: async () => {
      for (const member of members) await member.setClock(0);
    },
  };
}

/** Wall clocks that are set wrong, and right again at the end: a jump forwards and one backwards either way. */
export const clockFaults: readonly FaultKind[] = [
  { name: 'clock.ahead', longestSecs: 40, begin: (stage, random) => jump(stage, random, 1) },
  { name: 'clock.behind', longestSecs: 40, begin: (stage, random) => jump(stage, random, -1) },
];
