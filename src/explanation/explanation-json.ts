import { nsToMs } from '../util/clock.js';
import { isoTime, isoTimeOrNull } from '../util/iso-time.js';
import type { Explanation } from './explain.js';
import type { RuleExplanation } from './examine.js';
import { isOpen, lastTriggerOf, ownedSinceMs, type Facts, type LastTrigger } from './facts.js';
import type { Point } from './point-series.js';
import type { Reason } from './reason.js';
import { sentenceOf } from './sentence.js';

/** The explanation as the API and `explain --json` give it; described in docs/openapi.json. */
export function explanationJson(explanation: Explanation): Record<string, unknown> {
  const { facts, verdict, reasons, rules, doubts, evaluatedAtMs } = explanation;
  const { policy, knowledge } = facts;
  return {
    app_id: facts.appId,
    observer: facts.isObserver,
    at: isoTime(facts.atMs),
    evaluated_at: isoTimeOrNull(evaluatedAtMs),
    verdict,
    text: sentenceOf(explanation),
    reasons: reasons.map(reasonJson),
    rules: rules.map(ruleJson),
    policy:
      policy.kind === 'usable'
        ? { version: policy.policy.version, min: policy.minInstances, max: policy.maxInstances }
        : policy.kind === 'broken'
          ? { version: policy.version, min: null, max: null }
          : null,
    doubts,
    pauses: facts.pauses && {
      cool_down_until: isoTimeOrNull(facts.pauses.coolDownUntilMs),
      out_ignored_until: isoTimeOrNull(facts.pauses.ignoredOutUntilMs),
      in_ignored_until: isoTimeOrNull(facts.pauses.ignoredInUntilMs),
    },
    owner: ownerJson(facts),
    known_by: facts.knownBy,
    owner_said: ownerSaid(facts),
    last_trigger: triggerJson(lastTriggerOf(facts)),
    collection_failures: (knowledge?.failures ?? []).map(({ metricType, failure, message, sinceMs }) => ({
      metric_type: metricType,
      failure,
      message,
      since: isoTime(sinceMs),
    })),
    breakers: (knowledge?.breakers ?? []).map((breaker) => ({
      scope: breaker.scope,
      state: isOpen(breaker, facts.atMs) ? 'open' : 'half-open',
      since: isoTime(breaker.sinceMs),
      until: isoTime(breaker.untilMs),
    })),
    missing: facts.missing,
  };
}

function ownerJson(facts: Facts): Record<string, unknown> | null {
  const { owner } = facts;
  if (owner === null || owner === 'nobody') return null;
  return {
    instance_index: owner.instanceIndex,
    instance_guid: owner.instanceGuid,
    lease_id: owner.leaseId,
    since: isoTimeOrNull(ownedSinceMs(facts)),
    me: owner.isMe,
  };
}

function ownerSaid({ knowledge, recorded }: Facts): Record<string, unknown> | null {
  if (recorded) {
    const since = isoTime(recorded.sinceMs);
    const { code } = recorded;
    return { code, since, until: null, updated_at: since, instance_index: null, lease_id: null };
  }
  return (
    knowledge && {
      code: knowledge.code,
      since: isoTime(knowledge.sinceMs),
      until: isoTimeOrNull(knowledge.untilMs),
      updated_at: isoTime(knowledge.updatedAtMs),
      instance_index: knowledge.instanceIndex,
      lease_id: knowledge.leaseId,
    }
  );
}

function triggerJson(trigger: LastTrigger | null): Record<string, unknown> | null {
  if (!trigger) return null;
  const { atMs, rule, adjustment, result, message } = trigger;
  return { at: isoTime(atMs), rule, adjustment, result, message };
}

/** What is undefined is left out of the text. */
function reasonJson({ metricType, sinceMs, untilMs, ...reason }: Reason): Record<string, unknown> {
  return {
    ...reason,
    metric_type: metricType,
    since: sinceMs === undefined ? undefined : isoTime(sinceMs),
    until: untilMs === undefined ? undefined : isoTime(untilMs),
  };
}

function ruleJson(explained: RuleExplanation): Record<string, unknown> {
  const { rule, samples, newest, against, unit, unbrokenSinceNs, canFireAtNs } = explained;
  return {
    rule: explained.number,
    metric_type: rule.metricType,
    operator: rule.operator,
    threshold: rule.threshold.toString(),
    breach_duration_secs: explained.breachDurationSecs,
    cool_down_secs: rule.coolDownSecs,
    adjustment: rule.adjustment,
    verdict: explained.verdict,
    newest: newest && { ...pointJson(newest), unit },
    samples: {
      have: samples.have,
      needed: samples.needed,
      breaching: samples.breaching,
      no_data: samples.noData,
    },
    against: against && pointJson(against),
    collected_since: unbrokenSinceNs === null ? null : isoTime(nsToMs(unbrokenSinceNs)),
    can_fire_at: canFireAtNs === null ? null : isoTime(nsToMs(canFireAtNs)),
    behind_rule: explained.behindRule,
  };
}

/** `value` is a decimal int64; empty is *no data*. */
function pointJson({ timestampNs, value }: Point): { value: string; at: string } {
  return { value: value?.toString() ?? '', at: isoTime(nsToMs(timestampNs)) };
}
