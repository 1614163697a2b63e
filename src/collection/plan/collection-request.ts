import { secsToNs } from '../../util/clock.js';
import type { UnauthorizedJob } from './authorized-collector.js';
import { httpUnits, type HttpOutcome } from '../worker/http-aggregation.js';
import {
  type CollectionResult,
  type Failed,
  type HttpMetricType,
  isHttpMetricType,
  type MetricOutcome,
  type ReadJob,
} from '../pool/job.js';
import type { HttpQuestion } from './query-batcher.js';

/** What one app's cycle needs. */
export interface CollectionRequest {
  readonly appId: string;
  /** As the rules have them; may repeat. */
  readonly metricTypes: readonly string[];
  /** End of the stat window, exclusive, ns since the epoch: the timestamp of the cycle's app metrics. */
  readonly endNs: bigint;
  /** Length of the stat window for gauges. */
  readonly statWindowSecs: number;
  /** Window of the http metric types, see promqlWindowSecs. */
  readonly httpWindowSecs: number;
}

type UnsettledRead = Omit<ReadJob, 'authorization' | 'settled'>;

export interface CollectionJobs {
  /** Without what is settled of its window. */
  readonly read: UnsettledRead | null;
  readonly questions: readonly HttpQuestion[];
}

export function jobsOf(request: CollectionRequest): CollectionJobs {
  const metricTypes = [...new Set(request.metricTypes)];
  const gaugeTypes = metricTypes.filter((metricType) => !isHttpMetricType(metricType));
  const { startNs: presenceSinceNs, endSecs } = httpWindow(request);
  const read = {
    kind: 'read',
    appId: request.appId,
    startNs: statWindowStart(request),
    endNs: request.endNs,
    gaugeTypes,
    presenceSinceNs,
  } as const;
  return {
    read: gaugeTypes.length > 0 ? read : null,
    questions: metricTypes.filter(isHttpMetricType).map((metricType) => ({
      metricType,
      appId: request.appId,
      timeSecs: endSecs,
      windowSecs: request.httpWindowSecs,
    })),
  };
}

/** Container metrics come every 15 s: one before the http window proves that log-cache holds all of it. */
const presenceTickSecs = 20;

/** A read that only looks for a container metric of the app in the http window, and for one right before it. */
export function probeJob(request: CollectionRequest): Extract<UnauthorizedJob, { kind: 'read' }> {
  const { startNs } = httpWindow(request);
  const { appId, endNs } = request;
  const sinceNs = startNs - secsToNs(presenceTickSecs);
  return {
    kind: 'read',
    appId,
    startNs: sinceNs,
    endNs,
    gaugeTypes: [],
    presenceSinceNs: startNs,
    settled: null,
  };
}

/** Whether log-cache demonstrably knows the app in the http window, or why that could not be found out. */
export type Presence = boolean | Failed;

/** What the read of the gauges tells about presence; null where only a probe can tell. */
export function presenceFromRead(result: CollectionResult | null): boolean | null {
  return result?.kind === 'read' ? result.containerMetricSeen : null;
}

export function presenceFromProbe(result: CollectionResult): Presence {
  if (result.kind === 'failed') {
    const message = `looking for a container metric: ${result.message}`;
    return { kind: 'failed', failure: result.failure, message };
  }
  return result.kind === 'read' && result.containerMetricSeen === true;
}

/**
 * An app without requests has zero of them only if log-cache knows the app: right after log-cache restarted every app
 * looks idle, and a false zero would scale a busy app in.
 */
export function resolveEmpty(
  metricType: HttpMetricType,
  outcome: HttpOutcome,
  presence: Presence,
): MetricOutcome {
  if (outcome.kind !== 'empty') return outcome;
  if (presence === false) return { kind: 'no-data' };
  return presence === true ? { kind: 'value', value: 0n, unit: httpUnits[metricType] } : presence;
}

function statWindowStart({ endNs, statWindowSecs }: CollectionRequest): bigint {
  return endNs - secsToNs(statWindowSecs);
}

/** log-cache cuts timestamps to whole seconds, so the http window ends at the last whole second of the cycle. */
function httpWindow(request: CollectionRequest): { startNs: bigint; endSecs: number } {
  const endSecs = Number(request.endNs / secsToNs(1));
  return { startNs: secsToNs(endSecs - request.httpWindowSecs), endSecs };
}
