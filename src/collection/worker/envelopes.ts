import type { GaugeEnvelope } from '../../log-cache/log-cache.js';
import { isContainerGauge } from './metric-types.js';

/**
 * Whether an envelope's samples count for the app. Tasks, staging and worker processes also report under the app's id,
 * mostly as "instance 0", but only web processes are scaled. Custom metrics count, and envelopes without tags.
 */
export function countsForApp(envelope: Pick<GaugeEnvelope, 'tags'>): boolean {
  return !isFromContainer(envelope) || envelope.tags['process_type'] === 'web';
}

/** Whether Diego's rep reports it about a container. */
export function isFromContainer({ tags }: Pick<GaugeEnvelope, 'tags'>): boolean {
  return tags['origin'] === 'rep';
}

/** What tells app instances apart. During a rolling deployment two containers of an app have the same index. */
export function instanceOf({ tags, instanceId }: Pick<GaugeEnvelope, 'tags' | 'instanceId'>): string {
  return tags['process_instance_id'] || instanceId;
}

/** Whether an envelope proves that a web container of the app runs at its time. */
export function provesPresence(envelope: GaugeEnvelope): boolean {
  return countsForApp(envelope) && envelope.metrics.some(({ name }) => isContainerGauge(name));
}
