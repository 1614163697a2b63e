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

/** Batches of apps that are read while one is compared. */
const batchesAhead = 1;
/** Points of each metric type that are read at once: a day of nine apps at an interval of 40 s. */
const pointsPerBatch = 20_000;
const mostAppsPerBatch = 100;
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
    const apps = await policiesToCompare(appId, databases);
    const tally = new Tally();
    const told = progress('apps', apps.length);
    const batches = batchesOf(apps, task);
    for await (const results of readAhead(batches, batchesAhead, (batch) => compareApps(batch, task))) {
      for (const result of results) {
        tally.add(result);
        if (json) process.stdout.write(`${JSON.stringify(comparisonJson(result))}\n`);
        else if (appId !== null || result.cause !== null) process.stdout.write(comparisonText(result));
        told.step();
      }
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
  if (appId !== null) return [policyInForce(appId, await readPolicy(databases.policyDb, appId))];
  const apps = await appsWithRules(databases);
  // What cannot be used is evaluated by nobody.
  return apps.filter(({ stored }) => stored.kind === 'usable').map((app) => policyInForce(app.appId, app));
}

/** Apps whose rows lie together: they are written in the order in which apps are collected. */
function batchesOf(apps: readonly ReplayedPolicy[], { settings, span }: Task): ReplayedPolicy[][] {
  const { collectionIntervalMs } = settings;
  const points = Math.max(1, (span.toMs - span.fromMs) / collectionIntervalMs);
  const size = Math.min(mostAppsPerBatch, Math.max(1, Math.floor(pointsPerBatch / points)));
  const sorted = apps
    .map((app) => ({ app, phaseMs: phaseOf(app.policy.appId, collectionIntervalMs) }))
    .sort((a, b) => a.phaseMs - b.phaseMs)
    .map(({ app }) => app);
  return Array.from({ length: Math.ceil(apps.length / size) }, (_, batch) =>
    sorted.slice(batch * size, (batch + 1) * size),
  );
}

async function compareApps(apps: readonly ReplayedPolicy[], task: Task): Promise<Comparison[]> {
  const { settings, span, read } = task;
  const { metricTypes, reachMs } = neededRecordings(apps, settings);
  const appIds = apps.map(({ policy }) => policy.appId);
  const query = { appIds, sinceNs: msToNs(span.fromMs - reachMs), untilNs: msToNs(span.toMs) };
  const [theirs, ours] = await Promise.all([
    read.act({ ...query, metricTypes }),
    read.observe({ ...query, metricTypes: [...metricTypes, ...countTypes] }),
  ]).catch((error: unknown) => {
    if (errorCode(error) !== noSuchTable) {
      throw new Error(`failed to read ${appIds.join(', ')}: ${errorText(error)}`);
    }
    throw new Error(
      `there is no table ${tableNames('observe').appMetric}: no observer has run here yet (EVENTGENERATOR_MODE=observe)`,
    );
  });
  return apps.map((app) => {
    const { appId } = app.policy;
    return compare({ ...app, span, theirs: theirs.get(appId) ?? [], ours: ours.get(appId) ?? [], settings });
  });
}
