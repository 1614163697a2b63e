import type { AppCollector } from '../collection/plan/collect-app.js';
import type { Decision } from '../evaluation/decision.js';
import type { Trigger } from '../evaluation/trigger.js';
import type { AppPolicy } from '../policy/policy.js';
import type { TriggerResult } from '../scaling-engine/trigger-result.js';
import type { DecisionRecorder } from './decision-recorder.js';

/* Parts of the pipeline that tell a recorder what passes through them. */

interface EvaluatorParts {
  evaluate(app: AppPolicy, atNs: bigint): Decision;
  firesAmongFirst(app: AppPolicy, count: number, atNs: bigint): Decision | null;
  act(decision: Decision): Promise<Decision>;
  forget(appId: string): void;
  policyChanged(app: AppPolicy): void;
}

export function recordedEvaluator(
  evaluator: EvaluatorParts,
  recorder: DecisionRecorder,
  policyOf: (appId: string) => AppPolicy | undefined,
): EvaluatorParts {
  return {
    evaluate(app, atNs) {
      const decision = evaluator.evaluate(app, atNs);
      recorder.decided(app, decision);
      return decision;
    },
    firesAmongFirst(app, count, atNs) {
      const decision = evaluator.firesAmongFirst(app, count, atNs);
      if (decision) recorder.decided(app, decision);
      return decision;
    },
    async act(decision) {
      const done = await evaluator.act(decision);
      const app = decision.outcome === 'fired' ? policyOf(decision.trigger.app_id) : undefined;
      if (app && done.outcome === 'held') recorder.decided(app, done);
      return done;
    },
    forget(appId) {
      evaluator.forget(appId);
      recorder.forget(appId);
    },
    policyChanged: (app) => evaluator.policyChanged(app),
  };
}

export function recordedCollector(collector: AppCollector, recorder: DecisionRecorder): AppCollector {
  return {
    collect(request) {
      const hooks = collector.collect(request);
      for (const part of [hooks.gauges, hooks.http]) {
        void part?.then(({ outcomes }) => recorder.collected(request.appId, outcomes));
      }
      return hooks;
    },
  };
}

interface ScalingEngine {
  post(trigger: Trigger): Promise<TriggerResult>;
}

export function recordedEngine(scalingEngine: ScalingEngine, recorder: DecisionRecorder): ScalingEngine {
  return {
    async post(trigger) {
      const result = await scalingEngine.post(trigger);
      recorder.posted(trigger, result);
      return result;
    },
  };
}
