import { createHash } from 'node:crypto';
import type { TimerEnvelope, VectorSample } from '../../log-cache/log-cache.js';
import { aggregateVector } from './http-aggregation.js';
import type { HttpMetricType, HttpOutcome } from '../pool/job.js';

interface Instance {
  /** Value of the label instance_id; empty where there is none. */
  readonly id: string;
  count: number;
  /** The longest duration of each series, ns. */
  readonly longestNs: Map<string, number>;
}

/**
 * Computes from an app's timers what the queries for throughput and responsetime compute. A series is the timers that
 * share all labels: the tags and the envelope's source and instance id.
 */
export class TimerAggregation {
  readonly #instances = new Map<string, Instance>();

  add(timers: readonly TimerEnvelope[]): void {
    for (const { tags, sourceId, instanceId, durationNs } of timers) {
      // gorouter sends a second timer for each request, with peer type Server and instance 0.
      if (tags['peer_type'] !== 'Client') continue;
      const instance = this.#instanceOf(instanceId || (tags['instance_id'] ?? ''));
      const series = seriesOf({ ...tags, source_id: sourceId, instance_id: instance.id });
      instance.count++;
      const longestNs = instance.longestNs.get(series) ?? -Infinity;
      instance.longestNs.set(series, Math.max(longestNs, durationNs));
    }
  }

  end(
    appId: string,
    windowSecs: number,
  ): { outcomes: Record<HttpMetricType, HttpOutcome>; droppedSamples: number } {
    const aggregate = (metricType: HttpMetricType, valueOf: (instance: Instance) => number) => {
      const samples: VectorSample[] = Array.from(this.#instances.values(), (instance) => ({
        labels: { source_id: appId },
        value: valueOf(instance),
      }));
      const { outcomes, droppedSamples } = aggregateVector(metricType, [appId], samples);
      return { outcome: outcomes.get(appId) ?? ({ kind: 'empty' } as const), droppedSamples };
    };
    const throughput = aggregate('throughput', ({ count }) => count / windowSecs);
    const responsetime = aggregate('responsetime', meanMs);
    return {
      outcomes: { throughput: throughput.outcome, responsetime: responsetime.outcome },
      droppedSamples: throughput.droppedSamples + responsetime.droppedSamples,
    };
  }

  #instanceOf(id: string): Instance {
    let instance = this.#instances.get(id);
    if (!instance) {
      instance = { id, count: 0, longestNs: new Map() };
      this.#instances.set(id, instance);
    }
    return instance;
  }
}

/** Mean over the series, in ms, with the operations in the query's order. */
function meanMs({ longestNs }: Instance): number {
  let sum = 0;
  for (const value of longestNs.values()) sum += value;
  return sum / longestNs.size / (1000 * 1000);
}

/** Tells series apart. A digest, because the labels of a request take a thousand characters. */
function seriesOf(labels: Readonly<Record<string, string>>): string {
  const sorted = Object.keys(labels)
    .sort()
    .map((name) => [name, labels[name]]);
  return createHash('sha1').update(JSON.stringify(sorted)).digest('base64');
}
