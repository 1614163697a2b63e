import { msToNs, secsToNs, type Clock } from '../../util/clock.js';
import type { Collector } from './authorized-collector.js';
import { failureOf } from './failures.js';

/** Container metrics come every 15 s, and may be some seconds late. */
const windowSecs = 45;

/** How many web instances an app has; 0 where it seems to be stopped. Rejects where log-cache cannot say. */
export async function countInstances(
  collector: Collector,
  clock: Pick<Clock, 'now'>,
  appId: string,
): Promise<number> {
  const endNs = msToNs(clock.now());
  const startNs = endNs - secsToNs(windowSecs);
  const result = await collector.run({ kind: 'instances', appId, startNs, endNs });
  if (result.kind === 'instances') return result.instances;
  const { failure, message } = failureOf(result, 'counting instances');
  throw new Error(`${failure}: ${message}`);
}
