import { promqlWindowSecs } from '../../src/log-cache/promql.js';
import type { Releasers } from '../../src/util/releasers.js';
import { parseScrape, quantileBetween } from '../bench/processes/prometheus-text.js';
import type { Books } from '../platform/books.js';
import { finding, type Finding } from './audit/finding.js';
import { auditProcesses } from './audit/processes.js';
import { lostLeases } from './audit/owners.js';
import { auditRows, Histories } from './audit/rows.js';
import { auditTriggers } from './audit/triggers.js';
import { auditReasons } from './audit/contradicted.js';
import { allFaults } from './faults/all.js';
import { usualRecoverySecs, type FaultKind } from './faults/fault.js';
import { UsageError, type ChaosOptions } from './options.js';
import { pause, planWave, playWave, recover, restartCrashed, type Recovery } from './play.js';
import { statWindowSecs } from './member.js';
import { Random } from './random.js';
import { secondsUntilSeen } from './recovery.js';
import { setStage, type Stage } from './stage.js';
import { Watch } from './watch.js';

/** What became of a run. */
export interface ChaosReport {
  readonly options: ChaosOptions;
  readonly findings: readonly Finding[];
  readonly recoveries: readonly Recovery[];
  readonly figures: Readonly<Record<string, number>>;
}

const churnEveryMs = 1_000;
const startedWithinMs = 120_000;

export function faultsNamed(beginnings: readonly string[]): readonly FaultKind[] {
  for (const beginning of beginnings) {
    if (allFaults.some(({ name }) => name.startsWith(beginning))) continue;
    throw new UsageError(`no fault is called ${beginning}: ${allFaults.map(({ name }) => name).join(', ')}`);
  }
  return allFaults.filter(
    ({ name }) => beginnings.length === 0 || beginnings.some((beginning) => name.startsWith(beginning)),
  );
}

/** One run: start, waves of faults with a rest after each, a calm, the audit. */
export async function runChaos(
  options: ChaosOptions,
  progress: (text: string) => void,
  releasers: Pick<Releasers, 'add'>,
  ended: AbortSignal,
): Promise<ChaosReport> {
  const kinds = faultsNamed(options.faults);
  const stage = await setStage(options, progress, releasers);
  const startedMs = Date.now();
  await Promise.all(stage.members.map((member) => member.start()));
  const { secs, missing } = await secondsUntilSeen(stage, startedMs, startedWithinMs, ended);
  if (!Number.isFinite(secs))
    throw new Error(`not every app was collected after the start: ${missing.join(', ')}`);
  progress(`${options.members} members collect ${options.apps} apps`);
  const collectedMs = Date.now();
  const watch = new Watch(stage);
  releasers.add('watch', () => watch.stop());
  stage.policies.startChurn(churnEveryMs);
  releasers.add('churn', () => stage.policies.stopChurn());

  const recoveries = await playWaves(stage, kinds, ended);
  await calmDown(stage, ended);
  const span = { fromMs: collectedMs, toMs: Date.now() };
  await watch.stop();
  return audit(stage, watch, recoveries, span);
}

async function playWaves(stage: Stage, kinds: readonly FaultKind[], ended: AbortSignal): Promise<Recovery[]> {
  const { options, progress } = stage;
  const random = new Random(options.seed);
  const recoveries: Recovery[] = [];
  const untilMs = Date.now() + options.minutes * 60_000;
  for (let wave = 0; Date.now() < untilMs && !ended.aborted; wave++) {
    const planned = planWave(kinds, random.fork(1_000 + wave), options);
    progress(`wave ${wave}: ${planned.map(({ kind }) => kind.name).join(', ')}`);
    await playWave(stage, planned, ended);
    const recovery = await recover(stage, planned, ended);
    recoveries.push(recovery);
    progress(
      `  collected again after ${recovery.secs.toFixed(1)} s${recovery.missing.map((each) => `; ${each}`).join('')}`,
    );
    await pause(2 * options.intervalSecs * 1000, ended);
  }
  return recoveries;
}

/** Long enough for every rule that is in breach to fire, and for that to be asked about. */
async function calmDown(stage: Stage, ended: AbortSignal): Promise<void> {
  const { options, policies, progress } = stage;
  await policies.stopChurn();
  await restartCrashed(stage);
  // Recovery, the longest breach duration, and the cycles in which a trigger may come.
  const secs = options.quick
    ? 3 * options.intervalSecs
    : usualRecoverySecs + 4 * options.intervalSecs + 6 * options.intervalSecs;
  progress(`calm for ${secs} s`);
  await pause(secs * 1000, ended);
}

async function audit(
  stage: Stage,
  watch: Watch,
  recoveries: readonly Recovery[],
  span: { fromMs: number; toMs: number },
): Promise<ChaosReport> {
  const { options, members, stops, platform, progress } = stage;
  progress('audit');
  const lag = await longestLag(stage);
  const processes = auditProcesses(stage, watch);
  for (const member of members) {
    const stop = await member.terminate();
    if (stop) stops.push(stop);
  }
  const windows = { statWindowSecs, httpWindowSecs: promqlWindowSecs(options.intervalSecs * 1000) };
  const { findings, rows } = await auditRows(stage, windows);
  const triggers = auditTriggers(stage, new Histories(rows), span);
  const late = recoveries.filter(({ secs }) => !Number.isFinite(secs));
  const samples = [...watch.samples.values()].flat();
  const longest = Math.max(0, ...recoveries.map(({ secs }) => secs));
  return {
    options,
    recoveries,
    findings: [
      ...findings,
      ...triggers,
      auditReasons(stage, windows),
      finding(
        'waves after which apps stayed blind',
        late.map(({ faults, missing }) => `${faults.join(', ')}: ${missing.join('; ')}`),
      ),
      ...processes,
    ],
    figures: {
      waves: recoveries.length,
      faults: stage.diary.entries.length,
      rows: rows.length,
      triggers: platform.books.triggers.total,
      longest_blind_s: longest,
      lag_p99_s: lag,
      requests: requestsServed(platform.books),
      leases_lost: lostLeases(members).length,
      processes: members.reduce((sum, { generations }) => sum + generations.length, 0),
      most_memory_mib: Math.max(0, ...samples.map(({ residentMiB }) => residentMiB)),
      most_handles: Math.max(0, ...samples.map(({ resources }) => resources)),
      most_descriptors: Math.max(0, ...samples.map(({ descriptors }) => descriptors)),
      longest_stop_s: Math.max(0, ...stops.map(({ ms }) => ms)) / 1000,
    },
  };
}

/** 99 of 100 rounds of each process that runs now began no later than this after they were due; seconds. */
async function longestLag({ members }: Stage): Promise<number> {
  const lags = await Promise.all(
    members.map(async ({ now }) => {
      const scrape = await now.process.scrape();
      return quantileBetween(nothing, scrape, 'autoscaler_eventgenerator_collection_lag_seconds', 0.99);
    }),
  );
  return Math.max(...lags);
}

const nothing = parseScrape('');

/** Of all members and of every kind. */
function requestsServed(books: Pick<Books, 'of'>): number {
  const kinds = ['read', 'query', 'token', 'info', 'scale'] as const;
  return kinds.reduce((sum, kind) => sum + books.of(kind).requests, 0);
}
