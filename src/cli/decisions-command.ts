import type { Config } from '../config/config.js';
import type { Databases } from '../database/database.js';
import { tableNames, type TableNames } from '../database/table-names.js';
import { createDecisionStore } from '../decisions/decision-store.js';
import { createDecisionLists } from '../decisions/decision-lists.js';
import { createPolicySurvey } from '../decisions/policy-survey.js';
import { isPolicyReason, listedJson, type ListedDecision } from '../decisions/listed-decision.js';
import type { ListedReason } from '../explanation/reason.js';
import { timeText } from '../explanation/sentence.js';
import type { ProcessContext } from '../observability/process-context.js';
import { systemClock } from '../util/clock.js';
import { errorText } from '../util/errors.js';
import { printable, renderTable, type Column } from './table.js';
import { withDatabases } from './with-databases.js';

/** Nobody reads more rows than these. */
const maxListed = 10_000;

/** `eventgenerator decisions --reason CODE`: the apps whose newest decision has this code. */
export async function decisionsCommand(
  config: Config,
  trust: ProcessContext['trust'],
  { reason, json }: { readonly reason: ListedReason; readonly json: boolean },
): Promise<number> {
  const names = tableNames(config.evaluator.mode);
  return withDatabases(config, trust, async (databases) => {
    try {
      const found = await listedDecisions(databases, names, reason);
      process.stdout.write(json ? decisionsJson(found) : decisionsTable(found, systemClock.now()));
      return 0;
    } catch (error) {
      process.stdout.write(
        `failed to read the decisions: ${errorText(error)}\n${whereFrom(reason, names)}\n`,
      );
      return 1;
    }
  });
}

function whereFrom(reason: ListedReason, names: TableNames): string {
  return isPolicyReason(reason)
    ? 'They are found by the policies in policy_db.'
    : `They are in the table ${names.decision} of appmetrics_db; \`migrate\` creates it, members write it.`;
}

function listedDecisions(
  { policyDb, appMetricsDb }: Databases,
  names: TableNames,
  code: ListedReason,
): Promise<readonly ListedDecision[]> {
  const store = createDecisionStore(appMetricsDb, names);
  const lists = createDecisionLists(createPolicySurvey(policyDb, systemClock), () => store);
  return lists.list({ code, after: '', limit: maxListed });
}

const columnsAt = (nowMs: number): readonly Column<ListedDecision>[] => [
  { title: 'APP', cell: ({ appId }) => printable(appId) },
  { title: 'SINCE', cell: ({ sinceMs }) => timeOrDash(sinceMs, nowMs) },
  { title: 'UNTIL', cell: ({ untilMs }) => timeOrDash(untilMs, nowMs) },
  { title: 'OWNER', cell: ({ instanceIndex }) => instanceIndex?.toString() ?? '-' },
  { title: 'DETAIL', cell: ({ detail }) => printable(detail) },
];

function timeOrDash(ms: number | null, nowMs: number): string {
  return ms === null ? '-' : timeText(ms, nowMs);
}

/** Times are UTC. */
export function decisionsTable(found: readonly ListedDecision[], nowMs: number): string {
  if (found.length === 0) return 'no apps\n';
  const more = mayBeMore(found) ? `There may be more: ${maxListed} are listed.\n` : '';
  return renderTable(columnsAt(nowMs), found) + more;
}

export function decisionsJson(found: readonly ListedDecision[]): string {
  const json = { apps: found.map(listedJson), may_be_more: mayBeMore(found) };
  return `${JSON.stringify(json, null, 2)}\n`;
}

function mayBeMore(found: readonly ListedDecision[]): boolean {
  return found.length >= maxListed;
}
