import { secsToNs } from '../../util/clock.js';
import type { Window } from '../../log-cache/log-cache.js';
import { type HttpMetricType, type HttpWindow, isHttpMetricType, type ReadJob } from '../pool/job.js';

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

export interface HttpQuestion extends HttpWindow {
  readonly metricType: HttpMetricType;
}

export interface CollectionJobs {
  /** The settled part of its window is not filled in yet. */
  readonly read: Omit<ReadJob, 'settled'> | null;
  readonly questions: readonly HttpQuestion[];
}

export function jobsOf(request: CollectionRequest): CollectionJobs {
  const { appId, endNs } = request;
  const metricTypes = [...new Set(request.metricTypes)];
  const gaugeTypes = metricTypes.filter((metricType) => !isHttpMetricType(metricType));
  const startNs = endNs - secsToNs(request.statWindowSecs);
  const window = httpWindow(request);
  const presenceSinceNs = boundsNs(window).startNs;
  return {
    read: gaugeTypes.length > 0 ? { kind: 'read', appId, startNs, endNs, gaugeTypes, presenceSinceNs } : null,
    questions: metricTypes.filter(isHttpMetricType).map((metricType) => ({ ...window, metricType })),
  };
}

/** Container metrics come every 15 s. One before the http window proves that log-cache holds the whole window. */
const presenceTickSecs = 20;

/** A read that only looks for a container metric of the app in the http window, and for one right before it. */
export function presenceJob(request: CollectionRequest): ReadJob {
  const { appId, endNs } = request;
  const presenceSinceNs = boundsNs(httpWindow(request)).startNs;
  const startNs = presenceSinceNs - secsToNs(presenceTickSecs);
  return { kind: 'read', appId, startNs, endNs, gaugeTypes: [], presenceSinceNs, settled: null };
}

/** log-cache cuts times to whole seconds, so the http window ends at the last whole second of the cycle. */
export function httpWindow({ appId, endNs, httpWindowSecs }: CollectionRequest): HttpWindow {
  return { appId, timeSecs: Number(endNs / secsToNs(1)), windowSecs: httpWindowSecs };
}

export function boundsNs({ timeSecs, windowSecs }: HttpWindow): Window {
  return { startNs: secsToNs(timeSecs - windowSecs), endNs: secsToNs(timeSecs) };
}
