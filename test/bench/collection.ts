import { deepStrictEqual } from 'node:assert';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Benchmark } from './benchmark.js';
import {
  bareContender,
  type Contender,
  ourContender,
  type PreparedLogCache,
  startLogCache,
} from './collection/process-under-test.js';

/*
 * What one cycle of one app costs: an app of three web instances with rules on cpu, memoryutil and throughput, stat
 * window 120 s, interval 40 s. Beside it, in turns and in the same process, the bare loop, or for the way over gRPC the
 * one over HTTPS. Time is simulated, so that
 * cycles follow each other at once; CPU time is that of all threads, less what the idle process takes.
 */

/** 1,000 apps at an interval of 40 s are twelve in each slot of the schedule. */
const appsPerSlot = 12;
const slots = 20;
const warmUpRounds = 6;
const roundsPerRepetition = 4;
const intervalNs = 40_000_000_000n;
const beganNs = 1_755_700_000_000_000_000n;

const appIds = Array.from(
  { length: appsPerSlot * slots },
  (_, i) => `9f0e2c1a-0000-4000-8000-${String(i).padStart(12, '0')}`,
);

interface Cost {
  cpuUs: number;
  requests: number;
  bytes: number;
}

export const collection: Benchmark = {
  name: 'collection',
  describe:
    'CPU time, requests and bytes of one cycle of one app, beside a bare loop that asks as the Go one does',
  async run(context) {
    const overGrpc = context.transport === 'grpc';
    const repetitions = context.quick ? 3 : 15;
    const logCache = await startLogCache();
    const other = overGrpc ? ourContender(logCache, 'rest') : bareContender(logCache);
    const ours = ourContender(logCache, context.transport);
    try {
      await compareValues(other, ours);
      await runRounds(other, 1, warmUpRounds);
      await runRounds(ours, 1, warmUpRounds);
      const idleShare = await cpuShareWhenIdle();
      const ratios: number[] = [];
      const total = { other: noCost(), ours: noCost() };
      for (let repetition = 0; repetition < repetitions; repetition++) {
        context.progress(`repetition ${repetition + 1} of ${repetitions}`);
        const from = 1 + warmUpRounds + repetition * roundsPerRepetition;
        const otherCost = await measure(other, from, logCache, idleShare);
        const ourCost = await measure(ours, from, logCache, idleShare);
        ratios.push(ourCost.cpuUs / otherCost.cpuUs);
        add(total.other, otherCost);
        add(total.ours, ourCost);
      }
      const cycles = repetitions * roundsPerRepetition * appIds.length;
      const bytesRatio = total.ours.bytes / total.other.bytes;
      return {
        figures: [
          { name: 'ratio', value: median(ratios), target: { atMost: overGrpc ? 1.1 : 0.6 } },
          { name: 'requests_per_round', value: total.ours.requests / cycles, target: { atMost: 1.2 } },
          { name: 'bytes_ratio', value: bytesRatio, target: { atMost: overGrpc ? 1 : 0.4 } },
          { name: 'cpu_us_per_round', value: total.ours.cpuUs / cycles },
          { name: 'cpu_us_per_round_of_other', value: total.other.cpuUs / cycles },
        ],
      };
    } finally {
      await ours.close();
      await other.close();
      logCache.close();
    }
  },
};

/** Both must find out the same, also when ours reads on from an earlier cycle. */
async function compareValues(other: Contender, ours: Contender): Promise<void> {
  for (const cycle of [-1, 0]) {
    for (const appId of appIds.slice(0, appsPerSlot)) {
      const endNs = beganNs + BigInt(cycle) * intervalNs;
      deepStrictEqual(await ours.cycle(appId, endNs), await other.cycle(appId, endNs));
    }
  }
}

/** Cycles of all apps, slot after slot, as the schedule starts them. */
async function runRounds(contender: Contender, first: number, count: number): Promise<void> {
  for (let cycle = first; cycle < first + count; cycle++) {
    for (let slot = 0; slot < slots; slot++) {
      const endNs = beganNs + BigInt(cycle) * intervalNs + (BigInt(slot) * intervalNs) / BigInt(slots);
      const due = appIds.slice(slot * appsPerSlot, (slot + 1) * appsPerSlot);
      await Promise.all(due.map((appId) => contender.cycle(appId, endNs)));
    }
  }
}

async function measure(
  contender: Contender,
  firstRound: number,
  logCache: PreparedLogCache,
  idleShare: number,
): Promise<Cost> {
  const servedBefore = await logCache.served();
  const cpuBefore = process.cpuUsage();
  const startedMs = performance.now();
  await runRounds(contender, firstRound, roundsPerRepetition);
  const { user, system } = process.cpuUsage(cpuBefore);
  const wallUs = (performance.now() - startedMs) * 1000;
  const served = await logCache.served();
  return {
    cpuUs: user + system - idleShare * wallUs,
    requests: served.requests - servedBefore.requests,
    bytes: served.bytes - servedBefore.bytes,
  };
}

async function cpuShareWhenIdle(): Promise<number> {
  const idleMs = 1000;
  const before = process.cpuUsage();
  await sleep(idleMs);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / (idleMs * 1000);
}

function noCost(): Cost {
  return { cpuUs: 0, requests: 0, bytes: 0 };
}

function add(total: Cost, cost: Cost): void {
  total.cpuUs += cost.cpuUs;
  total.requests += cost.requests;
  total.bytes += cost.bytes;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
}
