import type { GaugeEnvelope } from '../../log-cache/log-cache.js';
import { isContainerGauge } from './metric-types.js';

/**
 * Whether an envelope's samples count for the app. Tasks, staging and worker processes report under the app's id
 * too, mostly as "instance 0"; scaling changes only web processes. Custom metrics, and platforms without tags, count.
 */
export function countsForApp(envelope: Pick<GaugeEnvelope, 'tags'>): boolean {
  return !isFromContainer(envelope) || envelope.tags['process_type'] === 'web';
}

/** Whether Diego's rep reports it of a container. Platforms without tags do not tell. */
export function isFromContainer({ tags }: Pick<GaugeEnvelope, 'tags'>): boolean {
  return tags['origin'] === 'rep';
}

/**
 * What tells app instances apart. The index alone does not: during a rolling deployment two containers of one app
 * have the same one.
 */
export function instanceOf({ tags, instanceId }: Pick<GaugeEnvelope, 'tags' | 'instanceId'>): string {
  return tags['process_instance_id'] || instanceId;
}

/** Whether an envelope proves that a web container of the app runs at its time. */
export function provesPresence(envelope: GaugeEnvelope): boolean {
  return countsForApp(envelope) && envelope.metrics.some(({ name }) => isContainerGauge(name));
}
