import type { OpenBreaker } from '../evaluation/open-breaker.js';
import { nsToMs } from '../util/clock.js';
import {
  areHoldsKnown,
  isOpen,
  lastTriggerOf,
  type Facts,
  type LastTrigger,
  type RecordedDecision,
} from './facts.js';
import type { Explanation } from './explain.js';
import type { RuleExplanation } from './examine.js';
import type { Point } from './point-series.js';
import type { Reason } from './reason.js';

export const observersNote =
  'This is an observer: it posts nothing, and a model answers for the scaling engine.';

/** The explanation in one or two sentences for people. Times are UTC. */
export function sentenceOf(explanation: Explanation): string {
  const sentence = sentenceFor(explanation.reasons[0], explanation);
  return explanation.facts.isObserver ? `${sentence} ${observersNote}` : sentence;
}

/** Reasons that repeat what stands before them. */
const repeating: ReadonlySet<Reason['code']> = new Set([
  'fired',
  'posted-recently',
  'at-limit-backoff',
  'trigger-failed',
]);

/** Sentences that follow `sentenceOf`: one for each further reason and for each open breaker. */
export function furtherSentences(explanation: Explanation): string[] {
  const reasons = explanation.reasons
    .slice(1)
    .filter(({ code }) => !repeating.has(code))
    .map((reason) => sentenceFor(reason, explanation));
  return [...reasons, ...breakerSentences(explanation)];
}

/** Sentences on breakers that are open while no rule fires: a trigger would be held back. */
function breakerSentences({ facts, reasons }: Explanation): string[] {
  if (reasons.some(({ code }) => code === 'breaker-open')) return [];
  return openBreakers(facts).map(({ scope, sinceMs, untilMs }) => {
    const whose = scope === 'app' ? 'The breaker of the app' : 'The breaker of all apps of its owner';
    return `${whose} has been open since ${at(sinceMs, facts)}, because triggers failed: none is posted before ${at(untilMs, facts)}.`;
  });
}

function openBreakers({ knowledge, atMs }: Facts): OpenBreaker[] {
  return (knowledge?.breakers ?? []).filter((breaker) => isOpen(breaker, atMs));
}

function sentenceFor(reason: Reason, explanation: Explanation): string {
  const rule = explanation.rules.find(({ number }) => number === reason.rule);
  return `${capitalized(clauses[reason.code](reason, rule, explanation))}.`;
}

type Clause = (reason: Reason, rule: RuleExplanation | undefined, explanation: Explanation) => string;

const clauses: Readonly<Record<Reason['code'], Clause>> = {
  fired: (_, rule, { facts }) =>
    `${conditionOf(rule)} fires, ${whatFollows(rule?.rule.adjustment ?? 'a trigger', facts)}`,
  'cooling-down': (reason, rule, { facts }) => {
    const started = timed(rule ? ' at ' : ', since ', reason.sinceMs, facts);
    const startedBy = rule && started !== '' ? `, started by ${conditionOf(rule)}` : '';
    return `the app cools down${untilText(reason, facts)}${startedBy}${started}`;
  },
  'posted-recently': (reason, rule, { facts }) =>
    `${conditionOf(rule)} fires, but a trigger was posted a moment ago${nextTry(reason, facts)}`,
  'breaker-open': (reason, rule, { facts, reasons }) => {
    const open = openBreakers(facts);
    const isShared = open.length > 0 && open.every(({ scope }) => scope === 'all');
    const whose = isShared ? 'the breaker of all apps of its owner' : 'its breaker';
    const isCause = reasons.some(({ code }) => code === 'trigger-failed');
    const trigger = isCause ? lastTriggerOf(facts) : null;
    const cause = trigger?.message ? `: ${trigger.message} (at ${at(trigger.atMs, facts)})` : '';
    return `${conditionOf(rule)} fires, but ${whose} is open${untilText(reason, facts)}, because triggers failed${cause}`;
  },
  'at-limit-backoff': (reason, rule, { facts }) =>
    `${conditionOf(rule)} fires, but the scaling engine ignored it lately${nextTry(reason, facts)}`,
  'lease-lost': (_, rule) => `${conditionOf(rule)} fires, but its owner has lost its lease and posts nothing`,
  'engine-busy': (_, rule) =>
    `${conditionOf(rule)} fires, but too many posts were waiting for the scaling engine`,
  'unknown-operator': (reason, rule) => `rule ${rule?.number} is skipped: ${reason.detail} is unknown`,
  'no-data': (reason, rule, { facts }) =>
    `${conditionOf(rule)} cannot fire: ${reason.metricType} has no data${timed(' at ', reason.sinceMs, facts)}`,
  'not-enough-samples': (reason, rule, { facts }) =>
    `${conditionOf(rule)} cannot fire yet: ${tooFew(rule)}` +
    `${timed(', collected since ', reason.sinceMs, facts)}${timed('; enough at ', reason.untilMs, facts)}`,
  'not-breached': (_, rule, { facts }) => {
    const against = rule?.against;
    const value = against ? `${reasonValue(rule)} at ${at(nsToMs(against.timestampNs), facts)}` : 'a value';
    return `no rule fires: ${value} speaks against ${conditionOf(rule)}`;
  },
  'no-rules': () => 'the policy has no scaling rules',
  'no-policy': () => 'the app has no policy',
  'policy-broken': (reason) => `the policy cannot be used: ${reason.detail}`,
  'not-owned': () => 'no living member owns the app: no eventgenerator collects and evaluates it',
  'not-collected': (reason, _, { facts }) =>
    `log-cache has failed for ${reason.metricType}${timed(' since ', reason.sinceMs, facts)} (${reason.detail})`,
  stale: (reason, _, { facts }) =>
    `the newest ${reason.metricType} is from ${timed('', reason.sinceMs, facts)}: nothing was stored since`,
  'at-max': (reason, rule, { facts }) => limitText('maximum', reason, rule, facts),
  'at-min': (reason, rule, { facts }) => limitText('minimum', reason, rule, facts),
  'trigger-failed': (reason, rule, { facts }) =>
    `${conditionOf(rule)} fires, but the scaling engine did not take it${timed(' at ', reason.sinceMs, facts)} (${reason.detail})`,
  unknown: (reason) => `that is not known here${reason.detail === undefined ? '' : `: ${reason.detail}`}`,
};

function limitText(
  limit: 'maximum' | 'minimum',
  reason: Reason,
  rule: RuleExplanation | undefined,
  facts: Facts,
): string {
  const lastTrigger = lastTriggerOf(facts);
  const ignoredMs = lastTrigger?.result === 'ignored' ? lastTrigger.atMs : reason.sinceMs;
  const ignoredAt = timed(' at ', ignoredMs, facts);
  const instances =
    reason.limit === undefined ? '' : ` of ${reason.limit} instance${reason.limit === 1 ? '' : 's'}`;
  return (
    `${conditionOf(rule)} fires, but the scaling engine ignored ${rule?.rule.adjustment ?? 'it'}${ignoredAt}: ` +
    `the app is at its ${limit}${instances}, not started, or its scaling is disabled${nextTry(reason, facts)}`
  );
}

/** There may be enough app metrics and none before the breach duration, or they lie too close together. */
function tooFew(rule: RuleExplanation | undefined): string {
  const { have = 0, needed = 0 } = rule?.samples ?? {};
  return have < needed
    ? `${have} of ${needed} app metrics`
    : `${have} app metrics do not cover its breach duration`;
}

/** What comes of a rule that fires, as far as that is known. */
function whatFollows(adjustment: string, facts: Facts): string {
  const { recorded } = facts;
  if (!recorded)
    return `and ${adjustment} is posted${areHoldsKnown(facts) ? '' : ' unless something holds it back'}`;
  const { code, sinceMs } = recorded;
  return code === 'fired'
    ? `and ${adjustment} was posted at ${at(sinceMs, facts)}`
    : `but the recorded decision is ${code}, since ${at(sinceMs, facts)}`;
}

/** "at-max since 22:13:20 (cpu 300 %)"; the time as `timeText` has it. */
export function recordedText({ code, sinceMs, text }: RecordedDecision, nowMs: number): string {
  return `${code} since ${timeText(sinceMs, nowMs)}${text === '' ? '' : ` (${text})`}`;
}

/** "+1 by rule 1 at 22:13:20: ignored"; the time as `timeText` has it. */
export function triggerText({ atMs, rule, adjustment, result, message }: LastTrigger, nowMs: number): string {
  const by = rule === null ? 'a rule of another version of the policy' : `rule ${rule}`;
  const said = message === null ? result : `${result}: ${message}`;
  return `${adjustment} by ${by} at ${timeText(atMs, nowMs)}: ${said}`;
}

/** "rule 1 (cpu > 80 % for 120 s)" */
export function conditionOf(rule: RuleExplanation | undefined): string {
  if (!rule) return 'a rule';
  const { metricType, operator, threshold } = rule.rule;
  const unit = rule.unit === '' ? '' : ` ${rule.unit}`;
  return `rule ${rule.number} (${metricType} ${operator} ${threshold}${unit} for ${rule.breachDurationSecs} s)`;
}

function reasonValue({ rule, against, unit }: RuleExplanation): string {
  if (!against || against.value === null) return `${rule.metricType} without data`;
  return `${rule.metricType} of ${against.value}${unit === '' ? '' : ` ${unit}`}`;
}

function untilText({ untilMs }: Reason, facts: Facts): string {
  return timed(' until ', untilMs, facts);
}

function nextTry({ untilMs }: Reason, facts: Facts): string {
  return timed('; next try at ', untilMs, facts);
}

function timed(words: string, ms: number | undefined, facts: Facts): string {
  return ms === undefined ? '' : words + at(ms, facts);
}

function at(ms: number, { atMs }: Facts): string {
  return timeText(ms, atMs);
}

/** "90 % at 22:13:20"; the time as `timeText` has it. */
export function pointText({ value, timestampNs }: Point, unit: string, nowMs: number): string {
  const text = value === null ? 'no data' : `${value}${unit && ` ${unit}`}`;
  return `${text} at ${timeText(nsToMs(timestampNs), nowMs)}`;
}

/** UTC; with the day where that is another one. */
export function timeText(ms: number, nowMs: number): string {
  const text = new Date(ms).toISOString();
  const isSameDay = text.slice(0, 10) === new Date(nowMs).toISOString().slice(0, 10);
  return isSameDay ? text.slice(11, 19) : text.slice(0, 19).replace('T', ' ');
}

function capitalized(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
