import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Databases } from '../database/database.js';
import type { ProcessContext } from '../observability/process-context.js';
import { parsePolicy } from '../policy/parse-policy.js';
import { hasSchedules, policyLimits } from '../policy/policy-limits.js';
import { readPolicy, type PolicyText } from '../policy/policy-store.js';
import { backtest, neededRecordings, type Backtest, type NamedPolicy } from '../replay/backtest.js';
import type { Span } from '../replay/coverage.js';
import type { ReplaySettings } from '../replay/replay.js';
import { tableNames } from '../database/table-names.js';
import { recordingsReader } from '../replay/recordings-reader.js';
import { parseScalingHistory, type InstanceCounts } from '../replay/scaling-history.js';
import { msToNs, systemClock, type Clock } from '../util/clock.js';
import { errorText } from '../util/errors.js';
import { backtestJson } from './backtest-json.js';
import type { BacktestChoice } from './backtest-options.js';
import { backtestSvg } from './backtest-svg.js';
import { backtestLine, backtestLineTitles } from './backtest-lines.js';
import { backtestText } from './backtest-text.js';
import { progress } from './progress.js';
import { readAhead } from './read-ahead.js';
import { appsWithRules, replaySettings, type ReplayConfig } from './replay-config.js';
import { withDatabases } from './with-databases.js';

/** Makes a named policy for an app: of a file, or what the app has. */
type PolicyOf = (appId: string, current: PolicyText | null) => NamedPolicy;

interface Task {
  readonly choice: BacktestChoice;
  readonly settings: ReplaySettings;
  readonly span: Span;
  readonly tried: PolicyOf;
  readonly against: PolicyOf | null;
  readonly counts: InstanceCounts | null;
}

/** Apps whose recordings are read while one is replayed. */
const appsAhead = 2;

/** `eventgenerator backtest`: what a policy would have done with the app metrics of the past. */
export async function backtestCommand(
  config: ReplayConfig,
  trust: ProcessContext['trust'],
  choice: BacktestChoice,
  clock: Pick<Clock, 'now'> = systemClock,
): Promise<number> {
  const toMs = clock.now();
  const task: Task = {
    choice,
    settings: replaySettings(config, choice.intervalMs),
    span: { fromMs: toMs - choice.sinceMs, toMs },
    tried: await policySource(choice.policy),
    against: choice.against === null ? null : await policySource(choice.against),
    counts: choice.historyFile === null ? null : await readHistory(choice.historyFile, choice.appId),
  };
  return withDatabases(config, trust, async (databases) => {
    if (choice.appId === null) await backtestAll(task, databases);
    else await backtestOne(task, choice.appId, databases);
    return 0;
  });
}

async function backtestOne(task: Task, appId: string, databases: Databases): Promise<void> {
  const { svgFile, json } = task.choice;
  const result = await backtestApp(task, appId, await readPolicy(databases.policyDb, appId), databases);
  if (svgFile !== null) await writeFile(svgFile, backtestSvg(result));
  process.stdout.write(json ? `${JSON.stringify(backtestJson(result), null, 2)}\n` : backtestText(result));
}

async function backtestAll(task: Task, databases: Databases): Promise<void> {
  const { json } = task.choice;
  const apps = await appsWithRules(databases);
  if (!json) process.stdout.write(backtestLineTitles(task.against !== null));
  const told = progress('apps', apps.length);
  const replays = readAhead(apps, appsAhead, async (app) => {
    const { appId } = app;
    try {
      return { appId, result: await backtestApp(task, appId, app, databases) };
    } catch (error) {
      return { appId, problem: errorText(error) };
    }
  });
  let failed = 0;
  for await (const { appId, result, problem } of replays) {
    if (problem !== undefined) failed++;
    if (json) {
      process.stdout.write(`${JSON.stringify(result ? backtestJson(result) : { app_id: appId, problem })}\n`);
    } else {
      process.stdout.write(backtestLine(appId, result ?? problem ?? ''));
    }
    told.step();
  }
  told.end();
  if (!json) {
    process.stdout.write(
      `${apps.length} apps, ${failed} could not be tried. Open loop: the values are those of the real number of instances.\n`,
    );
  }
}

async function backtestApp(
  { choice, settings, span, counts, ...task }: Task,
  appId: string,
  current: PolicyText | null,
  { appMetricsDb }: Databases,
): Promise<Backtest> {
  const tried = task.tried(appId, current);
  const against = task.against?.(appId, current) ?? null;
  const { metricTypes, reachMs } = neededRecordings(against ? [tried, against] : [tried], settings);
  const recordings = await recordingsReader(
    appMetricsDb,
    tableNames('act'),
  )({
    appId,
    metricTypes,
    sinceNs: msToNs(span.fromMs - reachMs),
    untilNs: msToNs(span.toMs),
  });
  return backtest({
    ...{ appId, span, tried, against, recordings, settings, counts },
    instances: choice.instances,
  });
}

/** Rejects where the file cannot be used. */
async function policySource(source: string): Promise<PolicyOf> {
  if (source === 'current') {
    return (appId, current) => {
      if (current === null) throw new Error(`${appId} has no policy`);
      const { stored, text } = current;
      if (stored.kind === 'broken')
        throw new Error(`the policy of ${appId} cannot be used: ${stored.problem}`);
      const known = { limits: policyLimits(text), hasSchedules: hasSchedules(text) };
      return { name: 'current', policy: stored.policy, ...known };
    };
  }
  const text = await readText(source);
  const parsed = parsePolicy(text);
  if (!parsed.ok) throw new Error(`${source}: the policy cannot be used: ${parsed.problem}`);
  const known = { limits: policyLimits(text), hasSchedules: hasSchedules(text) };
  return (appId) => ({
    name: basename(source),
    ...known,
    policy: { appId, version: '', rules: parsed.rules },
  });
}

async function readHistory(file: string, appId: string | null): Promise<InstanceCounts> {
  const parsed = parseScalingHistory(await readText(file));
  if (!parsed.ok) throw new Error(`${file}: the history cannot be used: ${parsed.problem}`);
  if (parsed.appId !== null && parsed.appId !== appId) {
    throw new Error(`${file} is the history of ${parsed.appId}, not of ${appId}`);
  }
  if (parsed.isPartial) {
    throw new Error(`${file} is one page of several: ask for all of it with results-per-page`);
  }
  return parsed.counts;
}

async function readText(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new Error(`failed to read ${file}: ${errorText(error)}`);
  }
}
