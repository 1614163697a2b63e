import type { Mode } from '../config/config.js';
import type { Databases } from '../database/database.js';
import { noSuchTable } from '../database/errors.js';
import { tableNames } from '../database/table-names.js';
import type { ProcessContext } from '../observability/process-context.js';
import { readPolicy } from '../policy/policy-store.js';
import { neededRecordings } from '../replay/backtest.js';
import { compare, countTypes, type Comparison } from '../replay/compare.js';
import type { Span } from '../replay/coverage.js';
import { recordingsReader, type ReadRecordings } from '../replay/recordings-reader.js';
import type { ReplayedPolicy, ReplaySettings } from '../replay/replay.js';
import { phaseOf } from '../schedule/phases.js';
import { msToNs, systemClock, type Clock } from '../util/clock.js';
import { errorCode, errorText } from '../util/errors.js';
import { comparisonJson, tallyJson } from './compare-json.js';
import type { CompareChoice } from './compare-options.js';
import { comparisonText, tallyText } from './compare-text.js';
import { Tally } from './compare-tally.js';
import { progress } from './progress.js';
import { readAhead } from './read-ahead.js';
import { appsWithRules, policyInForce, replaySettings, type ReplayConfig } from './replay-config.js';
import { withDatabases } from './with-databases.js';

/** Apps whose recordings are read while one is compared. */
const appsAhead = 3;
const different = 3;

interface Task {
  readonly settings: ReplaySettings;
  readonly span: Span;
  /** What the acting fleet and the observers have stored. */
  readonly read: Readonly<Record<Mode, ReadRecordings>>;
}

/** `eventgenerator compare`: what observers found out, against what the acting fleet did. Resolves to the exit code. */
export async function compareCommand(
  config: ReplayConfig,
  trust: ProcessContext['trust'],
  { appId, sinceMs, intervalMs, json }: CompareChoice,
  clock: Pick<Clock, 'now'> = systemClock,
): Promise<number> {
  const toMs = clock.now();
  const span = { fromMs: toMs - sinceMs, toMs };
  return withDatabases(config, trust, async (databases) => {
    const reader = (mode: Mode) => recordingsReader(databases.appMetricsDb, tableNames(mode));
    const read = { act: reader('act'), observe: reader('observe') };
    const task = { settings: replaySettings(config, intervalMs), span, read };
    const apps = inOrderOfRows(await policiesToCompare(appId, databases), task);
    const tally = new Tally();
    const told = progress('apps', apps.length);
    for await (const result of readAhead(apps, appsAhead, (app) => compareApp(app, task))) {
      tally.add(result);
      if (json) process.stdout.write(`${JSON.stringify(comparisonJson(result))}\n`);
      else if (appId !== null || result.cause !== null) process.stdout.write(comparisonText(result));
      told.step();
    }
    told.end();
    return conclude(tally, json);
  });
}

function conclude(tally: Tally, json: boolean): number {
  if (tally.apps > 0 && tally.observed === 0) {
    throw new Error(
      'observers have stored nothing in this time: is one running (EVENTGENERATOR_MODE=observe)?',
    );
  }
  process.stdout.write(json ? `${JSON.stringify(tallyJson(tally))}\n` : tallyText(tally));
  return tally.apps === tally.alike ? 0 : different;
}

async function policiesToCompare(appId: string | null, databases: Databases): Promise<ReplayedPolicy[]> {
  if (appId !== null) {
    const app = policyInForce(appId, await readPolicy(databases.policyDb, appId));
    if (app.policy.rules.length === 0) throw new Error(`the policy of ${appId} has no rules to compare`);
    return [app];
  }
  const apps = await appsWithRules(databases);
  // What cannot be used is evaluated by nobody.
  return apps.filter(({ stored }) => stored.kind === 'usable').map((app) => policyInForce(app.appId, app));
}

/** Rows are written in the order in which apps are collected: apps after each other are on the same pages. */
function inOrderOfRows(
  apps: readonly ReplayedPolicy[],
  { settings }: Pick<Task, 'settings'>,
): ReplayedPolicy[] {
  return apps
    .map((app) => ({ app, phaseMs: phaseOf(app.policy.appId, settings.collectionIntervalMs) }))
    .sort((a, b) => a.phaseMs - b.phaseMs)
    .map(({ app }) => app);
}

async function compareApp(app: ReplayedPolicy, task: Task): Promise<Comparison> {
  const { settings, span, read } = task;
  const { appId } = app.policy;
  const { metricTypes, reachMs } = neededRecordings([app], settings);
  const time = { sinceNs: msToNs(span.fromMs - reachMs), untilNs: msToNs(span.toMs) };
  const [theirs, ours] = await Promise.all([
    read.act({ appId, metricTypes, ...time }),
    read.observe({ appId, metricTypes: [...metricTypes, ...countTypes], ...time }),
  ]).catch((error: unknown) => {
    if (errorCode(error) !== noSuchTable) throw new Error(`failed to read ${appId}: ${errorText(error)}`);
    throw new Error(
      `there is no table ${tableNames('observe').appMetric}: no observer has run here yet (EVENTGENERATOR_MODE=observe)`,
    );
  });
  return compare({ ...app, span, theirs, ours, settings });
}
