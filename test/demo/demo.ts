import { once } from 'node:events';
import { endsWithin, sleep, systemClock } from '../../src/util/clock.js';
import { silentLogger } from '../support/silent-logger.js';
import { createReleasers } from '../../src/util/releasers.js';
import type { Books } from '../platform/books.js';
import type { Platform } from '../platform/platform.js';
import type { DemoState } from './app-state.js';
import { beginningAt, castOf, type Part } from './cast.js';
import type { DemoOptions } from './options.js';
import { setUp } from './setting.js';
import { Stage } from './stage.js';
import type { View } from './views.js';

/** Why the demo came to its end. */
export type Ending =
  | { readonly kind: 'goal' | 'timeout' | 'interrupted' }
  | { readonly kind: 'failed'; readonly problem: string; readonly details: readonly string[] };

export interface Interruption {
  /** Someone wants it to end, or something happened after which it cannot go on. */
  readonly asked: Promise<Ending>;
  /** And cannot wait. */
  readonly repeated: Promise<void>;
}

export interface DemoResult {
  /** At the end, before everything was stopped. */
  readonly state: DemoState;
  readonly ending: Ending;
  /** Until an app had been scaled out and one in; if that did not happen, until the end. */
  readonly seconds: number;
  /** What went wrong while everything was stopped. */
  readonly stopProblems: readonly string[];
}

const refreshMs = 200;
/** A start under way when the end comes has this long to get to the point from where it can be undone. */
const setUpDeadlineMs = 15_000;
/** Turns after which all stories have come to rest, if nothing else begins then. */
const turnsOfAStory = 12;

/** Plays the demo from start to end. Whatever it started has been stopped when it resolves; it never rejects. */
export async function runDemo(
  options: DemoOptions,
  view: View,
  interruption: Interruption,
): Promise<DemoResult> {
  const { keep, timeoutSecs, breachDurationSecs } = options;
  const cast = castOf(breachDurationSecs);
  const stage = new Stage({
    clock: systemClock,
    actors: cast.map(({ actor }) => actor),
    breachDurationSecs,
    ...(keep ? {} : { timeoutSecs }),
  });
  const stopProblems: string[] = [];
  const releasers = createReleasers({
    ...silentLogger,
    error: (_event, error, data) => stopProblems.push(`${String(data?.['part'])}: ${messageOf(error)}`),
  });
  const startedMs = systemClock.monotonic();
  const secondsPassed = () => (systemClock.monotonic() - startedMs) / 1000;
  let goalAfterSecs: number | undefined;
  // The first reason to end is the one that counts.
  const over = new AbortController();
  const end = (ending: Ending) => over.abort(ending);

  async function play(): Promise<void> {
    const { platform, eventgenerator } = await setting;
    void interruption.repeated.then(() => eventgenerator.kill());
    void eventgenerator.ended.then((how) => {
      const problem = `the eventgenerator ended with ${how}, although nobody had asked it to`;
      end({ kind: 'failed', problem, details: eventgenerator.lastLines() });
    });
    await eventgenerator.started;
    beginStories(cast, platform, keep ? turnsOfAStory * breachDurationSecs : undefined);
    stage.activity = `The eventgenerator (process ${eventgenerator.pid}) evaluates every app once a second.`;
    await platform.books.until(goalReached);
    goalAfterSecs = secondsPassed();
    if (keep) return;
    stage.activity = 'One app was scaled out and one in: that is all.';
    await sleep(systemClock, view.lingerMs, over.signal);
    end({ kind: 'goal' });
  }

  const redraw = setInterval(() => view.show(stage.state()), refreshMs);
  const deadline = keep
    ? undefined
    : systemClock.setTimer(timeoutSecs * 1000, () => end({ kind: 'timeout' }));
  void interruption.asked.then(end);
  const ended = once(over.signal, 'abort');
  const setting = setUp({ cast, stage, releasers, over: over.signal });
  play().catch((error: unknown) => end({ kind: 'failed', problem: messageOf(error), details: [] }));

  await ended;
  const seconds = goalAfterSecs ?? secondsPassed();
  const state = stage.state();
  view.show(state);
  stage.activity = 'Stopping the eventgenerator, the platform, and PostgreSQL last';
  await endsWithin(systemClock, setUpDeadlineMs, setting);
  await releasers.releaseAll();
  deadline?.cancel();
  clearInterval(redraw);
  view.close();
  return { state, ending: over.signal.reason as Ending, seconds, stopProblems };
}

function goalReached({ triggers }: Books): boolean {
  return triggers.scaledOut > 0 && triggers.scaledIn > 0;
}

/** Only now, so that a slow machine misses none of it. */
function beginStories(cast: readonly Part[], { apps }: Pick<Platform, 'apps'>, lengthSecs?: number): void {
  const nowUs = systemClock.now() * 1000;
  for (const { actor, story } of cast) {
    const app = apps.require(actor.guid);
    app.changeLoad(beginningAt(app.secsAt(nowUs), story, lengthSecs), nowUs);
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
