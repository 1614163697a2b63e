import type { Clock } from '../../src/util/clock.js';
import type { SimulatedApp } from './app-model.js';
import type { Apps } from './apps.js';
import type { ScalingTrigger } from './scaling-trigger.js';

/** What the scaling engine did with a trigger, and what it answers. */
export type ScalingOutcome =
  | {
      readonly kind: 'scaled';
      readonly before: number;
      readonly after: number;
      readonly coolDownUntilMs: number;
    }
  | { readonly kind: 'cooling-down'; readonly before: number; readonly coolDownUntilMs: number }
  /** At its limit, not started, autoscaling disabled. */
  | { readonly kind: 'ignored'; readonly before: number }
  /** Cloud Controller knows no such app. */
  | { readonly kind: 'no-app' }
  | { readonly kind: 'bad-adjustment' };

const adjustmentPattern = /^[-+]?\d+%?$/;

/** The scaling engine's decisions: cool-downs, adjustments and limits. It scales the apps of the model. */
export class ScalingEngine {
  /** Wall-clock ms by app. */
  readonly #coolDowns = new Map<string, number>();

  constructor(
    private readonly apps: Pick<Apps, 'get'>,
    private readonly clock: Pick<Clock, 'now'>,
    private readonly defaultCoolDownSecs: number,
  ) {}

  /** In the engine's order: state, label, cool-down, computation, limits. */
  scale(appId: string, trigger: Pick<ScalingTrigger, 'adjustment' | 'cool_down_secs'>): ScalingOutcome {
    const app = this.apps.get(appId);
    if (!app) return { kind: 'no-app' };
    const before = app.instances;
    if (app.state !== 'STARTED' || app.autoscalingDisabled) return { kind: 'ignored', before };
    const now = this.clock.now();
    const coolDownUntilMs = this.#coolDowns.get(appId) ?? 0;
    if (now < coolDownUntilMs) return { kind: 'cooling-down', before, coolDownUntilMs };
    const wanted = adjust(before, trigger.adjustment);
    if (wanted === undefined) return { kind: 'bad-adjustment' };
    const after = limit(app, wanted);
    if (after === before) return { kind: 'ignored', before };
    app.scaleTo(after, now * 1000);
    const coolDownSecs =
      trigger.cool_down_secs > 0n ? Number(trigger.cool_down_secs) : this.defaultCoolDownSecs;
    const until = now + coolDownSecs * 1000;
    this.#coolDowns.set(appId, until);
    return { kind: 'scaled', before, after, coolDownUntilMs: until };
  }

  /** Ends an app's cool-down, or all of them. */
  endCoolDown(appId?: string): void {
    if (appId === undefined) this.#coolDowns.clear();
    else this.#coolDowns.delete(appId);
  }
}

/** A percentage rounds half up and changes the number by at least one. Undefined: the adjustment makes no sense. */
export function adjust(current: number, adjustment: string): number | undefined {
  if (!adjustmentPattern.test(adjustment)) return undefined;
  const amount = parseInt(adjustment, 10);
  if (!adjustment.endsWith('%')) return current + amount;
  const rounded = Math.trunc(current * (1 + amount / 100) + 0.5);
  return rounded === current ? current + Math.sign(amount) : rounded;
}

function limit(app: Pick<SimulatedApp, 'minInstances' | 'maxInstances'>, instances: number): number {
  return Math.min(Math.max(instances, app.minInstances), app.maxInstances);
}
