import type { AppState, DemoState } from './app-state.js';
import { decisionText } from './decision-text.js';
import type { DemoResult } from './demo.js';
import { toned, type Look } from './look.js';
import { limitsText, reactionText, scalingText, sinceStart, times, valueText, whyText } from './texts.js';

/** Whether the demo showed what it is there to show, and everything ended well. */
export function isSuccess({ state, ending, stopProblems }: DemoResult): boolean {
  return state.scaledOut > 0 && state.scaledIn > 0 && ending.kind !== 'failed' && stopProblems.length === 0;
}

/** What happened, for human eyes. */
export function summaryLines(result: DemoResult, keep: boolean, look: Look): string[] {
  const { state, ending, stopProblems } = result;
  const lines = ['', headline(result, keep, look)];
  for (const scaling of state.scalings) {
    const reaction = reactionText(scaling);
    lines.push(
      `${sinceStart(state, scaling.atMs).padStart(7)}  ${toned(look, 'good', scalingText(scaling, look))}`,
      `         ${whyText(scaling)}${reaction && `, posted ${reaction}`}`,
    );
  }
  if (ending.kind === 'failed') {
    if (ending.details.length > 0) lines.push('', 'Details:', ...ending.details.map((line) => `  ${line}`));
  } else {
    lines.push(...leftLines(state));
  }
  for (const problem of stopProblems) lines.push(toned(look, 'bad', `When stopping: ${problem}`));
  if (isSuccess(result) && !keep) {
    lines.push(
      '',
      'All of it was real: the eventgenerator as operators run it, TLS, PostgreSQL.',
      'npm run demo -- --keep goes on until Ctrl-C; README.md says more.',
    );
  }
  return lines;
}

/** The apps that were not scaled, and why. */
function leftLines({ apps, scalings }: DemoState): string[] {
  const left = apps.filter(
    ({ actor, points }) =>
      points.length > 0 && !scalings.some((scaling) => scaling.actor.guid === actor.guid),
  );
  if (left.length === 0) return [];
  return ['', 'Left as they are:', ...left.map((app) => `  ${app.actor.name.padEnd(10)}  ${whyLeft(app)}`)];
}

function headline({ state, ending, seconds }: DemoResult, keep: boolean, look: Look): string {
  const counts = `${times(state.scaledOut)} out and ${times(state.scaledIn)} in`;
  const after = `${seconds.toFixed(1)} s`;
  switch (ending.kind) {
    case 'goal':
      return toned(look, 'strong', `After ${after} apps had been scaled ${counts}.`);
    case 'timeout':
      return toned(
        look,
        'bad',
        `Gave up after ${after}: apps had been scaled ${counts}, at least once each is needed.`,
      );
    case 'interrupted':
      return toned(look, keep ? 'strong' : 'plain', `Interrupted: apps had been scaled ${counts}.`);
    case 'failed':
      return toned(look, 'bad', `Failed after ${after}: ${ending.problem}`);
  }
}

/** The reason why an app was not scaled, in a sentence about its last decision. */
function whyLeft(app: AppState): string {
  const { actor, points, instances } = app;
  const value = points.at(-1)?.value ?? null;
  if (value === null) return `${actor.metricType}: no data, which is not zero`;
  const now = `${actor.metricType} ${valueText(app)}`;
  if (value > actor.upper && instances >= actor.maxInstances)
    return `${now} is above ${actor.upper}, but it is at its maximum of ${instances}`;
  if (value < actor.lower && instances <= actor.minInstances)
    return `${now} is below ${actor.lower}, but it is at its minimum of ${instances}`;
  if (value >= actor.lower && value <= actor.upper) return `${now} is within its limits, ${limitsText(app)}`;
  return `${now} is outside its limits, ${limitsText(app)}, but not yet for ${actor.breachDurationSecs} s`;
}

/** What happened, for programs. */
export function summaryJson(result: DemoResult): object {
  const { state, ending, seconds, stopProblems } = result;
  const ok = isSuccess(result);
  const secsSinceStart = (atMs: number) => rounded((atMs - state.startedMs) / 1000);
  return {
    ok,
    scaled_out: state.scaledOut,
    scaled_in: state.scaledIn,
    seconds: rounded(seconds),
    ...(ok ? {} : { problem: problemOf(ending, stopProblems) }),
    apps: state.apps.map((app) => ({
      name: app.actor.name,
      guid: app.actor.guid,
      instances: app.instances,
      min_instances: app.actor.minInstances,
      max_instances: app.actor.maxInstances,
      metric_type: app.actor.metricType,
      value: app.points.at(-1)?.value ?? null,
      unit: app.points.at(-1)?.unit ?? '',
      scale_out_above: app.actor.upper,
      scale_in_below: app.actor.lower,
      last_decision: decisionText(app, state.nowMs).text,
      scalings: state.scalings
        .filter((scaling) => scaling.actor.guid === app.actor.guid)
        .map((scaling) => ({
          at_seconds: secsSinceStart(scaling.atMs),
          from: scaling.from,
          to: scaling.to,
          because: whyText(scaling),
          ...(scaling.reaction
            ? {
                reaction_seconds: rounded(scaling.reaction.ms / 1000),
                reaction_since: scaling.reaction.since,
              }
            : {}),
        })),
    })),
  };
}

function problemOf(ending: DemoResult['ending'], stopProblems: readonly string[]): string {
  const [stopProblem] = stopProblems;
  if (ending.kind === 'failed') return ending.problem;
  return stopProblem ?? (ending.kind === 'interrupted' ? 'interrupted' : 'timeout');
}

function rounded(secs: number): number {
  return Math.round(secs * 1000) / 1000;
}
