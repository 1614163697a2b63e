import type { AppOptions } from '../platform/app-model.js';
import { guidOf, hashText } from '../platform/deterministic.js';
import type { LoadScript } from '../platform/load-script.js';
import { tellStory, type Story, type StoryMetric, type StoryName } from '../platform/stories.js';

/*
 * Who plays in the demo: six apps, each with a story of its own and with rules on one metric type, a rule for scaling
 * out above a limit and one for scaling in below another.
 */

export interface Actor {
  readonly name: StoryName;
  readonly guid: string;
  /** What its story is about, in a few words. */
  readonly plot: string;
  readonly metricType: string;
  /** A value above this lets it be scaled out, one below `lower` lets it be scaled in. */
  readonly upper: number;
  readonly lower: number;
  readonly minInstances: number;
  readonly maxInstances: number;
  readonly breachDurationSecs: number;
  readonly coolDownSecs: number;
}

export interface Part {
  readonly actor: Actor;
  readonly policy: Story['policy'];
  /** The app at the beginning, with the load that it has before its story begins. */
  readonly app: AppOptions;
  /** The story, over seconds since it began; after its last turn it stays as it is. */
  readonly story: LoadScript;
}

/** With this seed, spike and decay come to the point early in their turns. */
const seed = 12;
const instances = 2;
const tickSecs = 1;

/** cpu and memory are averages over at least a minute, http metrics over a second: apps that change live on those. */
const parts: readonly {
  readonly name: StoryName;
  readonly metricType: StoryMetric;
  readonly plot: string;
}[] = [
  { name: 'spike', metricType: 'throughput', plot: 'its load grows fourfold' },
  { name: 'decay', metricType: 'throughput', plot: 'its load fades away' },
  { name: 'at-maximum', metricType: 'responsetime', plot: 'too much load, no instance left' },
  { name: 'idle', metricType: 'memoryutil', plot: 'nobody uses it' },
  { name: 'no-data', metricType: 'throughput', plot: 'log-cache does not know it' },
  { name: 'steady', metricType: 'cpu', plot: 'its load stays the same' },
];

/** Stories go at the pace of the rules: a turn is as long as the breach duration. */
export function castOf(breachDurationSecs: number): readonly Part[] {
  return parts.map(({ name, metricType, plot }) => {
    const coolDownSecs = 2 * breachDurationSecs;
    const { app, policy } = tellStory(name, {
      guid: guidOf(hashText(`demo ${name}`, seed)),
      instances,
      paceSecs: breachDurationSecs,
      tickSecs,
      metrics: [metricType],
      breachDurationSecs,
      coolDownSecs,
      seed,
    });
    const actor = {
      name,
      plot,
      metricType,
      breachDurationSecs,
      coolDownSecs,
      guid: app.guid,
      upper: thresholdOf(policy, '>'),
      lower: thresholdOf(policy, '<'),
      minInstances: policy.instance_min_count,
      maxInstances: policy.instance_max_count,
    };
    return { actor, policy, story: app.load, app: { ...app, load: () => app.load(0) } };
  });
}

/** The story as the load of a platform on which it begins at startSecs, again and again if a length is given. */
export function beginningAt(startSecs: number, story: LoadScript, lengthSecs?: number): LoadScript {
  return (secs) => {
    const past = secs - startSecs;
    return story(lengthSecs !== undefined && past > 0 ? past % lengthSecs : past);
  };
}

function thresholdOf(policy: Story['policy'], operator: string): number {
  const rule = policy.scaling_rules.find((candidate) => candidate.operator === operator);
  if (!rule) throw new Error(`the story has no rule with ${operator}`);
  return rule.threshold;
}
