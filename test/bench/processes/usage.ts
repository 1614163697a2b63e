import { readFileSync } from 'node:fs';

/*
 * What processes used, from /proc: exact, without their help, and for every program alike.
 */

/** USER_HZ, which Linux has fixed at 100 for what it tells programs. */
const ticksPerSecond = 100;

/** CPU seconds of a process with all its threads, and of its children that have ended and been waited for. */
function cpuSecsOf(pid: number): number {
  return cpuSecsIn(`/proc/${pid}/stat`);
}

/** CPU seconds of a process's first thread alone, which in Node.js runs the event loop. */
export function cpuSecsOfMainThread(pid: number): number {
  return cpuSecsIn(`/proc/${pid}/task/${pid}/stat`);
}

function cpuSecsIn(file: string): number {
  const stat = readFileSync(file, 'latin1');
  // The second field is the program's name, in parentheses, and may hold anything.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [user, system, childUser, childSystem] = fields.slice(11, 15).map(Number);
  return ((user ?? 0) + (system ?? 0) + (childUser ?? 0) + (childSystem ?? 0)) / ticksPerSecond;
}

/** CPU seconds of a process and all that it has started. */
export function cpuSecsOfTree(pid: number): number {
  let sum = cpuSecsOf(pid);
  for (const child of childrenOf(pid)) {
    try {
      sum += cpuSecsOfTree(child);
    } catch {
      // It has just ended, and its parent's figures have it from now on: the next look is right again.
    }
  }
  return sum;
}

/** Resident memory now, in bytes. */
export function residentBytes(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? NaN) * 1024;
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1');
  return children.split(' ').filter(Boolean).map(Number);
}

/** Looks at a process's resident memory five times a second, until it is stopped and says the largest it saw. */
export function watchMemory(pid: number): { stop(): number } {
  let max = residentBytes(pid);
  const timer = setInterval(() => (max = Math.max(max, residentBytes(pid))), 200);
  return {
    stop() {
      clearInterval(timer);
      return Math.max(max, residentBytes(pid));
    },
  };
}
