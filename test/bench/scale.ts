import type { Benchmark, Figure } from './benchmark.js';
import { steadyRun, type SteadyRun } from './scene/steady-run.js';

const gibibyte = 1024 ** 3;

/** One process under three loads. The targets are those of the largest. */
export const scale: Benchmark = {
  name: 'scale',
  describe: '1,000, 10,000 and 50,000 apps on one process: lag, event loop, memory, CPU per cycle',
  async run(context) {
    const sizes = context.quick ? [200, 1_000, 2_000] : [1_000, 10_000, 50_000];
    const runs: SteadyRun[] = [];
    for (const apps of sizes) runs.push(await steadyRun(context, apps));
    const smallest = runs[0];
    const largest = runs.at(-1);
    if (!smallest || !largest) throw new Error('no run was made');
    return {
      figures: [
        ...runs.flatMap((run) => figuresOf(run, run === largest)),
        {
          name: 'cpu_per_round_growth',
          value: cpuMsPerRound(largest) / cpuMsPerRound(smallest),
          target: { atMost: 1.2 },
        },
      ],
    };
  },
};

function figuresOf(run: SteadyRun, judged: boolean): Figure[] {
  const { apps, secs, cycles, cpuSecs } = run;
  const figure = (name: string, value: number, atMost?: number): Figure => ({
    name: `${name}_${apps}`,
    value,
    ...(judged && atMost !== undefined ? { target: { atMost } } : {}),
  });
  const cpuTotal = cpuSecs.eventgenerator + cpuSecs.platform + cpuSecs.postgres;
  return [
    figure('caught_up_s', run.caughtUpSecs),
    figure('rounds_per_s', cycles / secs),
    figure('rounds_skipped', run.roundsSkipped, 0),
    figure('lag_p50_ms', run.lagP50Ms),
    figure('lag_p99_ms', run.lagP99Ms, 1_000),
    figure('round_p50_ms', run.roundP50Ms),
    figure('event_loop_delay_p99_ms', run.loopDelayP99Ms, 50),
    figure('event_loop_delay_max_ms', run.loopDelayMaxMs),
    figure('rss_gib', run.residentMaxBytes / gibibyte, 1),
    figure('cpu_cores_total', cpuTotal / secs, 1.6),
    figure('cpu_cores_eventgenerator', cpuSecs.eventgenerator / secs),
    figure('cpu_cores_main_thread', cpuSecs.mainThread / secs),
    figure('cpu_cores_platform', cpuSecs.platform / secs),
    figure('cpu_cores_postgres', cpuSecs.postgres / secs),
    figure('cpu_ms_per_round', cpuMsPerRound(run)),
    figure('requests_per_round', (run.logCache.reads + run.logCache.queries) / cycles),
    figure('kilobytes_per_round', run.logCache.bytes / cycles / 1000),
    figure('error_lines', run.errors.length, 0),
  ];
}

function cpuMsPerRound({ cpuSecs, cycles }: SteadyRun): number {
  return (cpuSecs.eventgenerator * 1000) / cycles;
}
