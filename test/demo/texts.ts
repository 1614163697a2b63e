import type { AppState, DemoState, Scaling } from './app-state.js';
import { arrow, type Look } from './look.js';

/* Phrases that several views use. */

/** "12.3 s" since the demo started. */
export function sinceStart({ startedMs }: Pick<DemoState, 'startedMs'>, atMs: number): string {
  return `${((atMs - startedMs) / 1000).toFixed(1)} s`;
}

/** "2 (1-10)": instances now, and the policy's limits. */
export function instancesText({ instances, actor }: Pick<AppState, 'instances' | 'actor'>): string {
  return `${instances} (${actor.minInstances}-${actor.maxInstances})`;
}

/** "160 rps", "19 %", or what there is instead. */
export function valueText({ points }: Pick<AppState, 'points'>): string {
  const newest = points.at(-1);
  if (!newest) return '...';
  return newest.value === null ? 'no data' : `${newest.value} ${newest.unit}`;
}

/** "20-80": the values for which nothing is done. */
export function limitsText({ actor }: Pick<AppState, 'actor'>): string {
  return `${actor.lower}-${actor.upper}`;
}

/** "spike scaled out from 2 to 3" */
export function scalingText({ actor, from, to }: Scaling, look: Pick<Look, 'unicode'>): string {
  return `${actor.name} scaled ${to > from ? 'out' : 'in'}: ${from} ${arrow(look)} ${to} instances`;
}

/** "throughput > 80 rps for 5 s" */
export function whyText({ actor, operator, threshold, unit, breachDurationSecs }: Scaling): string {
  return `${actor.metricType} ${operator} ${threshold} ${unit} for ${breachDurationSecs} s`;
}

/** "5.02 s after the breach began" */
export function reactionText({ reaction }: Scaling): string {
  if (!reaction) return '';
  const secs = `${(reaction.ms / 1000).toFixed(2)} s after`;
  return reaction.since === 'breach' ? `${secs} the breach began` : `${secs} the cool-down`;
}

export function times(count: number): string {
  return count === 1 ? 'once' : `${count} times`;
}
