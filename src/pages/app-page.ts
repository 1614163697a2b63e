import type { DecisionChange } from '../decisions/decision-store.js';
import type { Explanation } from '../explanation/explain.js';
import type { RuleExplanation } from '../explanation/examine.js';
import { failureText, lastTriggerOf, ownedSinceMs, type Facts } from '../explanation/facts.js';
import {
  conditionOf,
  furtherSentences,
  pointText,
  sentenceOf,
  timeText,
  triggerText,
} from '../explanation/sentence.js';
import { nsToMs } from '../util/clock.js';
import { chart, type ChartMark, type ChartPoint } from './chart.js';
import { markup, type Html } from './html.js';
import { page } from './page.js';

type ChangeOnPage = Pick<DecisionChange, 'atMs' | 'from' | 'to' | 'text'>;

export interface AppPageData {
  readonly explanation: Explanation;
  /** App metrics of the time that charts show, oldest first, by metric type. */
  readonly points: ReadonlyMap<string, readonly ChartPoint[]>;
  readonly fromMs: number;
  /** Newest first. */
  readonly changes: readonly ChangeOnPage[];
  readonly collectionIntervalMs: number;
}

/** A policy may have any number of rules. */
const maxCharts = 8;
/** In the table; charts have the scalings among all of them. */
const maxChanges = 50;

/** Why one app was scaled or not, with a chart for each rule. */
export function appPage(data: AppPageData): string {
  const { explanation } = data;
  const { facts, rules, verdict } = explanation;
  return page(
    `App ${facts.appId}`,
    markup`<p><a href="/health/apps">All apps</a></p>
      <h1>App ${facts.appId}</h1>
      <div class="verdict ${verdictClass(explanation)}">
        <strong>${verdictTitles[verdict]}</strong>: ${sentenceOf(explanation)}
      </div>
      ${furtherSentences(explanation).map((text) => markup`<p>${text}</p>`)}
      <p class="muted">As of ${timeText(facts.atMs, 0)} UTC. All times are UTC.</p>
      ${missingParts(facts)} ${rules.length === 0 ? null : rulesTable(rules, facts)}
      ${doubtsList(explanation)} ${factsTable(facts)}
      ${rules.slice(0, maxCharts).map((rule) => ruleChart(rule, data))}
      ${rules.length > maxCharts ? markup`<p class="muted">Charts of the first ${maxCharts} of ${rules.length} rules.</p>` : null}
      ${changesTable(data.changes, facts)}`,
  );
}

const verdictTitles: Readonly<Record<Explanation['verdict'], string>> = {
  fired: 'Fires',
  held: 'Held back',
  'not-fired': 'Does not fire',
  'not-evaluated': 'Not evaluated',
};

const badCodes: ReadonlySet<string> = new Set([
  'policy-broken',
  'not-owned',
  'not-collected',
  'stale',
  'trigger-failed',
  'breaker-open',
  'lease-lost',
]);

function verdictClass({ verdict, reasons }: Explanation): string {
  return badCodes.has(reasons[0].code) ? 'bad' : verdict;
}

function missingParts({ missing }: Facts): Html | null {
  if (missing.length === 0) return null;
  return markup`<p>Not known here: ${missing.join('; ')}.</p>`;
}

function rulesTable(rules: readonly RuleExplanation[], facts: Facts): Html {
  return markup`<h2>Rules, in their order</h2>
    <div class="table">
      <table>
        <tr class="head">
          <th>Rule</th>
          <th>Verdict</th>
          <th>Newest</th>
          <th>App metrics</th>
          <th>Speaks against it</th>
          <th>Can fire</th>
        </tr>
        ${rules.map((rule) => ruleRow(rule, facts))}
      </table>
    </div>`;
}

function ruleRow(explained: RuleExplanation, facts: Facts): Html {
  const { rule, verdict, newest, samples, against, canFireAtNs, behindRule, unit } = explained;
  const noData = samples.noData === 0 ? '' : `, ${samples.noData} without data`;
  const hidden = behindRule === null ? '' : ` (behind rule ${behindRule})`;
  return markup`<tr>
    <td>${conditionOf(explained)} → ${rule.adjustment}</td>
    <td class="word" data-label="Verdict">${verdict}${hidden}</td>
    <td class="number" data-label="Newest">${newest ? pointText(newest, unit, facts.atMs) : 'none'}</td>
    <td data-label="App metrics">${samples.have}, ${samples.needed} needed, ${samples.breaching} in breach${noData}</td>
    <td class="number" data-label="Speaks against it">${against ? pointText(against, unit, facts.atMs) : '–'}</td>
    <td class="number" data-label="Can fire">${canFireAtNs === null ? '–' : timeText(nsToMs(canFireAtNs), facts.atMs)}</td>
  </tr>`;
}

function doubtsList({ doubts }: Explanation): Html | null {
  if (doubts.length === 0) return null;
  return markup`<h2>Doubtful in the policy</h2>
    <ul>
      ${doubts.map(({ text }) => markup`<li>${text}</li>`)}
    </ul>`;
}

function factsTable(facts: Facts): Html {
  const { policy, pauses, knowledge, atMs } = facts;
  const time = (ms: number | null | undefined) =>
    ms === null || ms === undefined ? 'no' : timeText(ms, atMs);
  const rows: [string, string][] = [
    ['Policy', policyText(policy)],
    ['Owner', ownerText(facts)],
    ['Cool-down until', pauses ? time(pauses.coolDownUntilMs) : 'not known here'],
    ['Scaling out ignored until', pauses ? time(pauses.ignoredOutUntilMs) : 'not known here'],
    ['Scaling in ignored until', pauses ? time(pauses.ignoredInUntilMs) : 'not known here'],
  ];
  if (knowledge) {
    const { code, sinceMs, instanceIndex, updatedAtMs } = knowledge;
    const whose = `instance ${instanceIndex}, as of ${time(updatedAtMs)}`;
    rows.push(['The owner says', `${code} since ${time(sinceMs)} (${whose})`]);
    const lastTrigger = lastTriggerOf(facts);
    if (lastTrigger) rows.push(['Last trigger', triggerText(lastTrigger, atMs)]);
    for (const failure of knowledge.failures) {
      const text = `since ${time(failure.sinceMs)}: ${failureText(failure)}`;
      rows.push([`Collection of ${failure.metricType}`, text]);
    }
  }
  return markup`<h2>Known about the app</h2>
    <div class="table">
      <table>
        ${rows.map(
          ([name, value]) =>
            markup`<tr>
              <th>${name}</th>
              <td>${value}</td>
            </tr>`,
        )}
      </table>
    </div>`;
}

function policyText(policy: Facts['policy']): string {
  switch (policy.kind) {
    case 'unknown':
      return 'not known here';
    case 'none':
      return 'none';
    case 'broken':
      return `version ${policy.version} cannot be used: ${policy.problem}`;
    case 'usable': {
      const { minInstances, maxInstances } = policy;
      const limit = (instances: number | null) => (instances === null ? '?' : String(instances));
      return `version ${policy.policy.version}, ${limit(minInstances)} to ${limit(maxInstances)} instances`;
    }
  }
}

function ownerText(facts: Facts): string {
  const { owner, atMs } = facts;
  if (owner === null) return 'not known here';
  if (owner === 'nobody') return 'none: no member collects and evaluates the app';
  const lease = owner.leaseId === null ? '' : `, lease ${owner.leaseId}`;
  const sinceMs = ownedSinceMs(facts);
  const since = sinceMs === null ? '' : `, since ${timeText(sinceMs, atMs)}`;
  return `instance ${owner.instanceIndex}${lease}${owner.isMe === true ? ' (this one)' : ''}${since}`;
}

function ruleChart(rule: RuleExplanation, data: AppPageData): Html {
  const { explanation, points, fromMs, changes, collectionIntervalMs } = data;
  const own = points.get(rule.rule.metricType) ?? [];
  const condition = conditionOf(rule);
  let [lowest, highest] = [Infinity, -Infinity];
  for (const { value } of own) {
    if (value === null) continue;
    lowest = Math.min(lowest, value);
    highest = Math.max(highest, value);
  }
  const unit = rule.unit === '' ? '' : ` ${rule.unit}`;
  const marks = changes.flatMap(scalingMark);
  const marked = marks.length === 0 ? '' : '; vertical: triggers posted';
  const summary =
    lowest > highest
      ? 'No values in this time.'
      : `From ${lowest} to ${highest}${unit}; dashed: the threshold of ${rule.rule.threshold}${unit}; along the bottom: no data${marked}.`;
  return markup`<h2>${condition}</h2>
    <div class="chart">${chart(own, {
      title: `${condition}: ${summary}`,
      fromMs,
      toMs: explanation.facts.atMs,
      threshold: Number(rule.rule.threshold),
      gapMs: 3 * collectionIntervalMs,
      marks,
    })}</div>
    <p class="muted">${summary}</p>`;
}

/** Marks only triggers that were posted: most changes of a decision do not explain a curve. */
function scalingMark({ atMs, to, text }: ChangeOnPage): ChartMark[] {
  return to === 'fired' ? [{ atMs, text }] : [];
}

function changesTable(changes: readonly ChangeOnPage[], { atMs }: Facts): Html | null {
  if (changes.length === 0) return null;
  return markup`<h2>How the decision changed</h2>
    <div class="table">
      <table>
        <tr class="head">
          <th>Time</th>
          <th>From</th>
          <th>To</th>
          <th>Because</th>
        </tr>
        ${changes.slice(0, maxChanges).map(
          ({ atMs: changedMs, from, to, text }) =>
            markup`<tr>
              <td class="number">${timeText(changedMs, atMs)}</td>
              <td class="word" data-label="From">${from ?? '–'}</td>
              <td class="word" data-label="To">${to}</td>
              <td>${text}</td>
            </tr>`,
        )}
      </table>
    </div>
    ${changes.length > maxChanges ? markup`<p class="muted">The newest ${maxChanges} of ${changes.length} changes.</p>` : null}`;
}
