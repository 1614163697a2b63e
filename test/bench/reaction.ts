import type { Benchmark, Figure } from './benchmark.js';
import { quantile } from './figures.js';
import { collectionIntervalMs } from './scene/scene.js';
import { cpuBreachSecs, cpuThreshold } from './scene/policies.js';
import { steadyRun, type ObservedBreach } from './scene/steady-run.js';

/** How long after the earliest possible moment triggers arrive, while everything else goes on as usual. */
export const reaction: Benchmark = {
  name: 'reaction',
  describe: 'from the earliest moment at which a rule can fire to the arrival of its trigger',
  async run(context) {
    const figures: Figure[] = [];
    for (const apps of context.quick ? [400] : [1_000, 10_000]) {
      const { breaches } = await steadyRun(context, apps);
      const arrived = breaches.flatMap((breach) => reactionMs(breach) ?? []);
      figures.push(
        { name: `triggers_missing_${apps}`, value: breaches.length - arrived.length, target: { atMost: 0 } },
        {
          name: `triggers_early_${apps}`,
          value: arrived.filter((ms) => ms < 0).length,
          target: { atMost: 0 },
        },
        { name: `reaction_p50_ms_${apps}`, value: quantile(arrived, 0.5) },
        { name: `reaction_p99_ms_${apps}`, value: quantile(arrived, 0.99), target: { atMost: 1_000 } },
        { name: `reaction_max_ms_${apps}`, value: quantile(arrived, 1) },
      );
    }
    return { figures };
  },
};

/** null without a trigger. */
function reactionMs({ points, trigger }: ObservedBreach): number | null {
  if (!trigger) return null;
  const earliestNs = earliestFiringNs(
    points.filter(({ timestampNs }) => Number(timestampNs) / 1e6 <= trigger.atMs),
  );
  return earliestNs === null ? null : trigger.atMs - Number(earliestNs) / 1e6;
}

/**
 * The earliest moment at which a collection would let the rule fire, straight from the sentence that the architecture has
 * of it: after the last point that did not breach + d, with enough points far enough apart, and one before. null where
 * that has not come.
 */
function earliestFiringNs(points: ObservedBreach['points']): bigint | null {
  const durationNs = BigInt(cpuBreachSecs) * 1_000_000_000n;
  const intervalNs = BigInt(collectionIntervalMs) * 1_000_000n;
  const needed = Math.max(2, Math.ceil(0.6 * Number(durationNs / intervalNs)));
  const shorterNs = durationNs < intervalNs ? durationNs : intervalNs;
  const apartNs = durationNs < 2n * intervalNs ? shorterNs / 2n : 0n;
  const lastGood = points.findLast(({ value }) => value <= cpuThreshold);
  if (!lastGood) return null;
  const afterNs = lastGood.timestampNs + durationNs + 1n;
  const times = points.map(({ timestampNs }) => timestampNs);
  // Between these moments nothing changes.
  const moments = [afterNs, ...times.flatMap((at) => [at, at + apartNs, at + durationNs + 1n])]
    .filter((at) => at >= afterNs)
    .sort((a, b) => (a < b ? -1 : 1));
  const canFire = (atNs: bigint) => {
    const startNs = atNs - durationNs;
    const within = times.filter((at) => at >= startNs && at < atNs);
    const oldestNs = within[0] ?? atNs;
    const hasOneBefore = times.some((at) => at >= startNs - durationNs && at < startNs);
    return within.length + 1 >= needed && atNs - oldestNs >= apartNs && hasOneBefore;
  };
  return moments.find(canFire) ?? null;
}
