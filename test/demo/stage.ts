import type { Clock } from '../../src/util/clock.js';
import type { TriggerRecord } from '../platform/books.js';
import type { Platform } from '../platform/platform.js';
import {
  breachOf,
  type AppState,
  type DemoState,
  type Point,
  type Reaction,
  type Scaling,
} from './app-state.js';
import type { Actor } from './cast.js';
import type { Evaluation } from './log-lines.js';

/** Points remembered per app: more than a sparkline of the widest terminal shows. */
const maxPoints = 300;
/** Scalings remembered for the summary. */
const maxScalings = 200;

interface AppRecord {
  readonly actor: Actor;
  points: Point[];
  evaluation: Evaluation | undefined;
  lastTrigger: TriggerRecord | undefined;
  coolDownEndMs: number;
}

export interface StageOptions {
  readonly clock: Pick<Clock, 'now'>;
  readonly actors: readonly Actor[];
  readonly breachDurationSecs: number;
  readonly timeoutSecs?: number;
}

/** Gathers what is known of the apps from its three sources: the eventgenerator's log, its API, and the platform. */
export class Stage {
  readonly #options: StageOptions;
  readonly #startedMs: number;
  readonly #apps: ReadonlyMap<string, AppRecord>;
  readonly #scalings: Scaling[] = [];
  #platform: Pick<Platform, 'apps' | 'books'> | undefined;
  /** What is going on, for the header. */
  activity = '';
  /** What keeps values from being shown. */
  trouble: string | undefined;

  constructor(options: StageOptions) {
    this.#options = options;
    this.#startedMs = options.clock.now();
    this.#apps = new Map(
      options.actors.map((actor) => [
        actor.guid,
        { actor, points: [], evaluation: undefined, lastTrigger: undefined, coolDownEndMs: 0 },
      ]),
    );
  }

  /** From now on instances and triggers are taken from this platform. */
  platformRuns(platform: Pick<Platform, 'apps' | 'books'>): void {
    this.#platform = platform;
  }

  evaluated(appId: string, evaluation: Evaluation): void {
    const app = this.#apps.get(appId);
    if (app) app.evaluation = evaluation;
  }

  /** Newer points of an app, oldest first. */
  measured(appId: string, points: readonly Point[]): void {
    const app = this.#apps.get(appId);
    if (app) app.points = [...app.points, ...points].slice(-maxPoints);
  }

  /** Of the newest known point of an app; before the first, of the demo's start. */
  newestPointMs(appId: string): number {
    return this.#apps.get(appId)?.points.at(-1)?.atMs ?? this.#startedMs;
  }

  state(): DemoState {
    for (const app of this.#apps.values()) this.#follow(app);
    const { clock, breachDurationSecs, timeoutSecs } = this.#options;
    const triggers = this.#platform?.books.triggers;
    return {
      nowMs: clock.now(),
      startedMs: this.#startedMs,
      activity: this.activity,
      ...(this.trouble === undefined ? {} : { trouble: this.trouble }),
      ...(timeoutSecs === undefined ? {} : { timeoutSecs }),
      breachDurationSecs,
      apps: this.#platform ? [...this.#apps.values()].map((app) => this.#stateOf(app)) : [],
      scalings: [...this.#scalings],
      scaledOut: triggers?.scaledOut ?? 0,
      scaledIn: triggers?.scaledIn ?? 0,
    };
  }

  #stateOf({ actor, points, evaluation, lastTrigger }: AppRecord): AppState {
    return {
      actor,
      points,
      instances: this.#platform?.apps.get(actor.guid)?.instances ?? 0,
      ...(evaluation ? { evaluation } : {}),
      ...(lastTrigger ? { trigger: lastTrigger } : {}),
    };
  }

  /** Looks what was asked of the scaling engine for this app since the last time. */
  #follow(app: AppRecord): void {
    const triggers = this.#platform?.books.triggersOf(app.actor.guid) ?? [];
    const known = app.lastTrigger ? triggers.lastIndexOf(app.lastTrigger) : -1;
    for (const trigger of triggers.slice(known + 1)) {
      app.lastTrigger = trigger;
      const { result, before, after } = trigger;
      if (result !== 'scaled' || before === undefined || after === undefined) continue;
      this.#scalings.push(scalingOf(app, trigger, before, after));
      app.coolDownEndMs = trigger.atMs + app.actor.coolDownSecs * 1000;
    }
    this.#scalings.sort((a, b) => a.atMs - b.atMs);
    this.#scalings.splice(0, this.#scalings.length - maxScalings);
  }
}

function scalingOf(app: AppRecord, trigger: TriggerRecord, from: number, to: number): Scaling {
  const reaction = reactionOf(app, trigger.atMs);
  return {
    actor: app.actor,
    atMs: trigger.atMs,
    from,
    to,
    operator: trigger.operator,
    threshold: trigger.threshold,
    unit: trigger.metricUnit,
    breachDurationSecs: trigger.breachDurationSecs,
    ...(reaction ? { reaction } : {}),
  };
}

/** Measured from the first moment at which the rules allowed what was done. */
function reactionOf({ actor, points, coolDownEndMs }: AppRecord, atMs: number): Reaction | undefined {
  const breach = breachOf(
    actor,
    points.filter((point) => point.atMs <= atMs),
  );
  if (!breach) return undefined;
  if (coolDownEndMs > breach.beganMs + actor.breachDurationSecs * 1000) {
    return { ms: atMs - coolDownEndMs, since: 'cool-down' };
  }
  return { ms: atMs - breach.beganMs, since: 'breach' };
}
