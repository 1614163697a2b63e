import { readFile, writeFile } from 'node:fs/promises';
import { basename } from 'node:path';
import type { ProcessContext } from '../observability/process-context.js';
import { parsePolicy } from '../policy/parse-policy.js';
import { readPolicy, type PolicyText } from '../policy/policy-store.js';
import { backtest, neededRecordings, type Backtest, type NamedPolicy } from '../replay/backtest.js';
import type { Span } from '../replay/coverage.js';
import type { ReplaySettings } from '../replay/replay.js';
import { tableNames } from '../database/table-names.js';
import { recordingsReader, type ReadRecordings } from '../replay/recordings-reader.js';
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
import {
  appsWithRules,
  playedOf,
  policyInForce,
  replaySettings,
  type ReplayConfig,
} from './replay-config.js';
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
  return withDatabases(config, trust, async ({ policyDb, appMetricsDb }) => {
    const read = recordingsReader(appMetricsDb, tableNames('act'));
    if (choice.appId === null) await backtestAll(task, await appsWithRules({ policyDb }), read);
    else await backtestOne(task, choice.appId, await readPolicy(policyDb, choice.appId), read);
    return 0;
  });
}

async function backtestOne(
  task: Task,
  appId: string,
  current: PolicyText | null,
  read: ReadRecordings,
): Promise<void> {
  const { svgFile, json } = task.choice;
  const result = await backtestApp(task, appId, current, read);
  if (svgFile !== null) await writeFile(svgFile, backtestSvg(result));
  process.stdout.write(json ? `${JSON.stringify(backtestJson(result), null, 2)}\n` : backtestText(result));
}

async function backtestAll(task: Task, apps: readonly PolicyText[], read: ReadRecordings): Promise<void> {
  const { json } = task.choice;
  if (!json) process.stdout.write(backtestLineTitles(task.against !== null));
  const told = progress('apps', apps.length);
  const replays = readAhead(apps, appsAhead, async (app) => {
    const { appId } = app;
    try {
      return { appId, result: await backtestApp(task, appId, app, read) };
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
  read: ReadRecordings,
): Promise<Backtest> {
  const tried = task.tried(appId, current);
  const against = task.against?.(appId, current) ?? null;
  const { metricTypes, reachMs } = neededRecordings(against ? [tried, against] : [tried], settings);
  const recordings = await read({
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
  if (source === 'current') return policyInForce;
  const text = await readText(source);
  const parsed = parsePolicy(text);
  if (!parsed.ok) throw new Error(`${source}: the policy cannot be used: ${parsed.problem}`);
  const known = playedOf(text);
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
