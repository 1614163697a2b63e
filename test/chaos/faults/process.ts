import { indexes, someMember, type FaultKind } from './fault.js';

/** What the system and operators do to processes. */
export const processFaults: readonly FaultKind[] = [
  {
    name: 'process.kill',
    longestSecs: 20,
    async begin(stage, random) {
      const member = someMember(stage, random);
      await member.kill();
      return { detail: indexes([member]), end: () => member.start() };
    },
  },
  {
    name: 'process.kill-all',
    longestSecs: 8,
    async begin({ members }) {
      await Promise.all(members.map((member) => member.kill()));
      return { detail: indexes(members), end: () => Promise.all(members.map((member) => member.start())) };
    },
  },
  {
    name: 'process.freeze',
    longestSecs: 40,
    begin(stage, random) {
      const member = someMember(stage, random);
      member.freeze();
      return { detail: indexes([member]), end: () => member.wake() };
    },
  },
  {
    name: 'process.terminate',
    longestSecs: 10,
    async begin(stage, random) {
      const member = someMember(stage, random);
      const outcome = await member.terminate();
      if (outcome) stage.stops.push(outcome);
      return { detail: indexes([member]), end: () => member.start() };
    },
  },
  {
    name: 'process.roll',
    longestSecs: 4,
    async begin(stage) {
      for (const member of stage.members) {
        const outcome = await member.terminate();
        if (outcome) stage.stops.push(outcome);
        await member.start();
      }
      return { detail: 'all, one by one', end: () => undefined };
    },
  },
];
