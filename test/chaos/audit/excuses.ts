import { trueRow, type StoredRow, type Windows } from '../../pipeline/audit.js';
import type { TrueSample } from '../../platform/truth.js';
import type { FaultEntry, Span } from '../diary.js';
import { statWindowSecs } from '../member.js';
import type { Stage } from '../stage.js';
import { mayLackHistories, membershipChanges } from './owners.js';

/** Envelopes that arrive while a round reads may be in it or not. */
const longestRoundSecs = 20;
/** A clock so little ahead is taken for right, and what has not happened yet for nothing. */
const toleratedAheadMs = 3_000;
/** One until there are timers again, one that is not whole, and one more for apps that had their turn just before. */
const windowsUntilSeen = 3;
/** Between a fault's times and those at which processes notice. */
const noticedMs = 2_000;

/**
 * Why a row may say something else than what was so, if it may.
 *
 * *No data* is right where log-cache does not show what it has. A value is right without exception, but for gauges of
 * which samples were lost or are still on their way, and for http windows that lost a part without anybody's knowing.
 */
export function isExcused(row: StoredRow, stage: Stage, windows: Windows): boolean {
  const { diary } = stage;
  const span = collectedWithin(row, stage);
  const isHttp = row.metricType === 'throughput' || row.metricType === 'responsetime';
  if (row.value === '' && diary.within(span, 'hides').length > 0) return true;
  if (isHttp) return isPartOfRequests(row, span, stage, windows);
  const isLate = diary.within(span, 'late').length > 0;
  if (isLate && isOfArrivedSamples(row, stage)) return true;
  const isPartial =
    diary.within(span, 'partial').length > 0 ||
    wronglyDated(row, stage, 'ahead').length > 0 ||
    (isLate && isOfNewInstance(row, stage));
  return isPartial && (row.value === '' || isBetweenSamples(row, stage));
}

/** From the beginning of the row's window to when it was read, at the latest. */
function collectedWithin(row: StoredRow, stage: Stage): Span {
  const atMs = timeOfRow(row);
  const behindMs = Math.max(0, ...wronglyDated(row, stage, 'behind').map(({ aheadMs = 0 }) => -aheadMs));
  return { fromMs: atMs - statWindowSecs * 1000, toMs: atMs + stage.options.intervalSecs * 1000 + behindMs };
}

/** Faults because of which the row may carry a time that had not come yet, or that was over. */
function wronglyDated(row: StoredRow, { diary }: Stage, direction: 'ahead' | 'behind'): FaultEntry[] {
  const atMs = timeOfRow(row);
  return diary.entries.filter(
    ({ fromMs, toMs, aheadMs = 0 }) =>
      (direction === 'ahead' ? aheadMs > 0 : aheadMs < 0) &&
      atMs >= fromMs + aheadMs - noticedMs &&
      atMs <= toMs + aheadMs + noticedMs,
  );
}

function timeOfRow({ timestampNs }: StoredRow): number {
  return Number(timestampNs / 1_000_000n);
}

/** Of an instance whose first envelopes are late nobody knows that any are missing, until all of a window is read. */
function isOfNewInstance(row: StoredRow, { platform }: Stage): boolean {
  const sinceUs = (timeOfRow(row) - 2 * statWindowSecs * 1000) * 1000;
  return platform.apps.require(row.appId).containers.some(({ startedUs }) => startedUs > sinceUs);
}

/** A part of a window has no more requests than the whole, unless an instance came or went meanwhile. */
function isPartOfRequests(row: StoredRow, span: Span, stage: Stage, windows: Windows): boolean {
  const sinceMs = timeOfRow(row) - windowsUntilSeen * windows.httpWindowSecs * 1000;
  const lost = stage.diary.within({ fromMs: sinceMs, toMs: span.toMs }, 'timers');
  const atMs = timeOfRow(row);
  if (row.value === '') {
    return (
      lost.length > 0 ||
      stage.diary.within(span, 'late').length > 0 ||
      (mayLackHistories(atMs, membershipChanges(stage.members)) &&
        trueRow(row, stage.platform, windows).value === '0')
    );
  }
  const windowMs = windows.httpWindowSecs * 1000;
  const isCut = lost.some(({ fromMs, toMs }) =>
    [fromMs, toMs].some((edgeMs) => edgeMs > atMs - windowMs - noticedMs && edgeMs < atMs + noticedMs),
  );
  const isOfFuture = wronglyDated(row, stage, 'ahead').some(({ aheadMs = 0 }) => aheadMs < toleratedAheadMs);
  if (!isCut && !isOfFuture) return false;
  if (row.metricType === 'responsetime' || hasOtherInstances(row, stage, windowMs)) return true;
  return BigInt(row.value) <= BigInt(trueRow(row, stage.platform, windows).value || '0');
}

/** Whether an instance came or went in the window, or just then: the mean is of others without it. */
function hasOtherInstances(row: StoredRow, { platform }: Stage, windowMs: number): boolean {
  const [fromUs, toUs] = [timeOfRow(row) - windowMs - noticedMs, timeOfRow(row) + noticedMs].map(
    (atMs) => atMs * 1000,
  ) as [number, number];
  return platform.apps
    .require(row.appId)
    .containers.some(({ startedUs, stoppedUs }) =>
      [startedUs, stoppedUs].some((us) => us > fromUs && us < toUs),
    );
}

/** A gauge's value is the mean of all samples that had arrived when it was read, of punctual and of late streams. */
function isOfArrivedSamples(row: StoredRow, { platform: { truth }, lateStreams }: Stage): boolean {
  const endUs = Number(row.timestampNs / 1_000n);
  const fromUs = endUs - statWindowSecs * 1e6;
  for (let readSecs = 0; readSecs <= longestRoundSecs; readSecs += 0.5) {
    const readUs = endUs + readSecs * 1e6;
    const metric = truth.expectedGaugeMetric(row.appId, row.metricType, fromUs, endUs, (sample) => {
      const stream = { appId: row.appId, instanceId: sample.instanceId };
      const lateMs = lateStreams.lateMs(stream, !sample.fromContainer, sample.timestampUs);
      return sample.timestampUs + lateMs * 1000 < readUs;
    });
    if (row.value === (metric?.value.toString() ?? '')) return true;
  }
  return false;
}

/** A mean of some of the samples lies between the least and the largest of all. */
function isBetweenSamples(row: StoredRow, { platform: { truth } }: Stage): boolean {
  const endUs = Number(row.timestampNs / 1_000n);
  const value = BigInt(row.value);
  const { appId, metricType } = row;
  const containers = new Set<string>();
  truth.expectedGaugeMetric(appId, metricType, endUs - statWindowSecs * 1e6, endUs, (sample) => {
    containers.add(containerOf(sample));
    return true;
  });
  const values: bigint[] = [];
  for (let sec = 1; sec <= statWindowSecs; sec++) {
    const fromUs = endUs - sec * 1e6;
    for (const container of containers) {
      const isOfContainer = (sample: TrueSample) => containerOf(sample) === container;
      const metric = truth.expectedGaugeMetric(appId, metricType, fromUs, fromUs + 1e6, isOfContainer);
      if (metric) values.push(metric.value);
    }
  }
  return values.some((other) => other <= value) && values.some((other) => other >= value);
}

/** Custom metrics have an index only. */
function containerOf({ instanceId, processInstanceId }: TrueSample): string {
  return `${instanceId} ${processInstanceId}`;
}
