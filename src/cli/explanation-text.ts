import type { Explanation } from '../explanation/explain.js';
import type { RuleExplanation } from '../explanation/examine.js';
import { lastTriggerOf, ownedSinceMs, type Facts } from '../explanation/facts.js';
import type { Point } from '../explanation/point-series.js';
import {
  furtherSentences,
  pointText,
  recordedText,
  sentenceOf,
  timeText,
  triggerText,
} from '../explanation/sentence.js';
import { nsToMs } from '../util/clock.js';
import { chart } from './chart.js';
import { printable } from './table.js';

const chartWidth = 60;
/** A policy may have a thousand rules. */
const maxRules = 20;
const maxCharts = 3;

/** The explanation for a terminal. Times are UTC. */
export function explanationText(explanation: Explanation): string {
  const { facts, verdict, reasons, rules, doubts } = explanation;
  const lines = [
    ['app', appText(facts)],
    ['at', `${new Date(facts.atMs).toISOString().slice(0, 19).replace('T', ' ')} UTC`],
    ['owner', ownerText(facts)],
    ['verdict', `${verdict.toUpperCase()}  ${[...new Set(reasons.map(({ code }) => code))].join(', ')}`],
    ...[sentenceOf(explanation), ...furtherSentences(explanation)].map((text) => ['', text]),
    ...rules.slice(0, maxRules).map((rule) => [`rule ${rule.number}`, ruleText(rule, facts)]),
    ...(rules.length > maxRules ? [['', `and ${rules.length - maxRules} rules more`]] : []),
    ...decisionLines(facts),
    ...doubts.map(({ text }) => ['doubtful', text]),
    ...facts.missing.map((text) => ['missing', text]),
  ] as const;
  const text = lines.map(([title = '', line = '']) => `${title.padEnd(9)} ${printable(line)}`.trimEnd());
  return `${[...text, ...charts(explanation)].join('\n')}\n`;
}

function appText({ appId, policy }: Facts): string {
  if (policy.kind !== 'usable') return appId;
  const { minInstances, maxInstances } = policy;
  return `${appId}   ${minInstances ?? '?'} to ${maxInstances ?? '?'} instances`;
}

function ownerText(facts: Facts): string {
  const { owner, atMs } = facts;
  if (owner === null) return 'unknown';
  if (owner === 'nobody') return 'nobody';
  const lease = owner.leaseId === null ? '' : `, lease ${owner.leaseId}`;
  const sinceMs = ownedSinceMs(facts);
  const since = sinceMs === null ? '' : `, since ${timeText(sinceMs, atMs)}`;
  return `instance ${owner.instanceIndex}${lease}${since}`;
}

function ruleText(explained: RuleExplanation, facts: Facts): string {
  const { rule, unit, breachDurationSecs, verdict, samples, newest, behindRule } = explained;
  const condition = `${rule.metricType} ${rule.operator} ${rule.threshold}${unit && ` ${unit}`} for ${breachDurationSecs} s → ${rule.adjustment}`;
  const counts = `${samples.breaching} of ${samples.have} app metrics in breach, ${samples.needed} needed`;
  const parts = [
    verdict,
    samples.noData > 0 ? `${counts}, ${samples.noData} without data` : counts,
    ...(newest ? [`newest ${pointText(newest, unit, facts.atMs)}`] : ['none stored']),
    ...(explained.against ? [`against it: ${pointText(explained.against, unit, facts.atMs)}`] : []),
    ...(explained.canFireAtNs === null
      ? []
      : [`can fire at ${timeText(nsToMs(explained.canFireAtNs), facts.atMs)}`]),
    ...(behindRule === null ? [] : [`hidden by rule ${behindRule}`]),
  ];
  return `${condition}   ${parts.join('; ')}`;
}

/** What was decided at a time in the past, or the last trigger. */
function decisionLines(facts: Facts): string[][] {
  const { recorded, atMs } = facts;
  const trigger = lastTriggerOf(facts);
  return [
    ...(recorded ? [['recorded', recordedText(recorded, atMs)]] : []),
    ...(trigger ? [['posted', triggerText(trigger, atMs)]] : []),
  ];
}

/** One for the first rule of each metric type. */
function charts({ rules, facts }: Explanation): string[] {
  const seen = new Set<string>();
  return rules
    .filter(({ rule }) => !seen.has(rule.metricType) && seen.add(rule.metricType))
    .slice(0, maxCharts)
    .flatMap(({ rule, number }) => {
      const points = newestPoints(facts, rule.metricType);
      if (points.length === 0) return [];
      const title = `${rule.metricType}, with the threshold of rule ${number}`;
      return ['', printable(title), ...chart(points, rule.threshold, chartWidth)];
    });
}

function newestPoints({ histories, appId }: Facts, metricType: string): Point[] {
  const series = histories?.series(appId, metricType);
  if (!series) return [];
  return Array.from({ length: Math.min(series.size, chartWidth) }, (_, age) => ({
    timestampNs: series.timestampAt(age),
    value: series.valueAt(age),
  }));
}
