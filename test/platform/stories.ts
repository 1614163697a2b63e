import type { AppOptions } from './app-model.js';
import { fraction, hashText } from './deterministic.js';
import { keyframes, wave, type Load, type LoadScript } from './load-script.js';

/*
 * Apps with something to tell, each with the policy that goes with it. A level of 1 is the load under which one
 * instance is busy: 100 % of a core, 100 requests per second, 300 MiB. Rules scale out above a level of 0.8 and in
 * below 0.2, whichever metric types they are about.
 */

export const storyNames = ['spike', 'decay', 'idle', 'at-maximum', 'no-data', 'steady', 'wave'] as const;
export type StoryName = (typeof storyNames)[number];

/** A rule for scaling out and one for scaling in, by metric type. */
const thresholds = {
  cpu: { above: 80, below: 20 },
  cpuutil: { above: 80, below: 20 },
  memoryused: { above: 336, below: 156 },
  memoryutil: { above: 65, below: 31 },
  throughput: { above: 80, below: 20 },
  responsetime: { above: 34, below: 23 },
  /** A custom metric. */
  jobs: { above: 40, below: 10 },
} as const;

export type StoryMetric = keyof typeof thresholds;
export const storyMetrics = Object.keys(thresholds) as readonly StoryMetric[];

export interface StoryOptions {
  readonly guid: string;
  /** Instances at the beginning; stories at a limit have this as their limit. */
  readonly instances: number;
  /** Seconds that pass between two turns of a story. */
  readonly paceSecs: number;
  readonly tickSecs: number;
  /** Metric types of the rules, in order of precedence. */
  readonly metrics: readonly StoryMetric[];
  readonly breachDurationSecs: number;
  readonly coolDownSecs: number;
  readonly seed: number;
}

interface PolicyJson {
  readonly instance_min_count: number;
  readonly instance_max_count: number;
  readonly scaling_rules: readonly {
    readonly metric_type: string;
    readonly threshold: number;
    readonly operator: string;
    readonly adjustment: string;
    readonly breach_duration_secs: number;
    readonly cool_down_secs: number;
  }[];
}

export interface Story {
  readonly name: StoryName;
  readonly app: AppOptions;
  readonly policy: PolicyJson;
}

export function tellStory(name: StoryName, options: StoryOptions): Story {
  const { guid, instances, metrics, tickSecs } = options;
  const min = name === 'idle' ? instances : 1;
  const max = name === 'at-maximum' ? instances : Math.max(10, 4 * instances);
  const level = levelScript(name, options);
  return {
    name,
    app: {
      guid,
      name: `${name}-${guid.slice(0, 8)}`,
      instances,
      minInstances: min,
      maxInstances: max,
      tickSecs,
      entitledCpuPercent: 100,
      load: loadOf(level, instances),
      silent: name === 'no-data',
      customMetrics: metrics.includes('jobs')
        ? [
            {
              name: 'jobs',
              unit: 'jobs',
              intervalSecs: tickSecs,
              total: (secs) => 50 * level(secs) * instances,
            },
          ]
        : [],
    },
    policy: {
      instance_min_count: min,
      instance_max_count: max,
      scaling_rules: [
        ...metrics.map((metric) => rule(options, metric, '>', thresholds[metric].above, '+1')),
        ...metrics.map((metric) => rule(options, metric, '<', thresholds[metric].below, '-1')),
      ],
    },
  };
}

function rule(
  { breachDurationSecs, coolDownSecs }: StoryOptions,
  metric: StoryMetric,
  operator: string,
  threshold: number,
  adjustment: string,
): PolicyJson['scaling_rules'][number] {
  return {
    metric_type: metric,
    threshold,
    operator,
    adjustment,
    breach_duration_secs: breachDurationSecs,
    cool_down_secs: coolDownSecs,
  };
}

/** Level per instance of the beginning, over seconds since the start. Apps differ by up to one turn. */
function levelScript(name: StoryName, { guid, paceSecs, seed }: StoryOptions): (secs: number) => number {
  const shift = fraction(hashText(guid, seed));
  const turns = (...levels: readonly (readonly [turn: number, level: number])[]): LoadScript =>
    keyframes(
      levels.map(([turn, level]) => ({ atSecs: (turn + shift) * paceSecs, load: { cpuPercent: level } })),
    );
  const script: Readonly<Record<StoryName, LoadScript>> = {
    spike: turns([0.5, 0.4], [0.7, 1.6], [4, 1.6], [4.5, 0.05]),
    decay: turns([0, 0.6], [2, 0.05]),
    idle: turns([0, 0]),
    'at-maximum': turns([0, 3]),
    'no-data': turns([0, 0.5]),
    steady: turns([0, 0.5]),
    wave: wave({ cpuPercent: 0.1 }, { cpuPercent: 1.5 }, 20 * paceSecs, shift * 20 * paceSecs),
  };
  return (secs) => script[name](secs).cpuPercent;
}

function loadOf(level: (secs: number) => number, instances: number): LoadScript {
  return (secs): Load => {
    const total = level(secs) * instances;
    return { requestsPerSecond: 100 * total, cpuPercent: 100 * total, memoryMiB: 300 * total };
  };
}
