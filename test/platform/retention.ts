import type { SimulatedApp } from './app-model.js';

/** Container metrics of one instance at one tick, see tickLayout. */
const envelopesPerTick = 13;
/** gorouter's two timers, and a line in the app's log. */
const envelopesPerRequest = 3;
/** What is further back is counted in longer steps: nobody looks at it closely. */
const closeSecs = 120;
const farStepSecs = 10;

/** Envelopes of all types that an app brings log-cache in a second, at a time in µs since the epoch. */
function envelopesPerSecond(app: SimulatedApp, timeUs: number): number {
  if (app.silent) return 0;
  const { tickSecs, customMetrics, logLinesPerSecond } = app.settings;
  const instances = app.webCountAt(timeUs);
  if (instances === 0) return 0;
  const ofInstance =
    envelopesPerTick / tickSecs + customMetrics.reduce((sum, { intervalSecs }) => sum + 1 / intervalSecs, 0);
  const requests = app.shareAt(timeUs).requestsPerSecond * instances;
  return requests * envelopesPerRequest + instances * ofInstance + logLinesPerSecond;
}

/**
 * Where what log-cache still holds of a source begins, if it keeps so many envelopes of it and lets the oldest go; not
 * before fromUs. `injected`: envelopes besides those of the app's model, oldest first. All in µs.
 */
export function evictedUntilUs(
  app: SimulatedApp | undefined,
  injected: readonly { readonly timestampUs: number }[],
  { fromUs, nowUs, maxEnvelopes }: { fromUs: number; nowUs: number; maxEnvelopes: number },
): number {
  let room = maxEnvelopes;
  let older = injected.length;
  for (let endUs = nowUs; endUs > fromUs;) {
    const stepUs = (nowUs - endUs < closeSecs * 1e6 ? 1 : farStepSecs) * 1e6;
    const startUs = Math.max(fromUs, endUs - stepUs);
    const lengthUs = endUs - startUs;
    let count = app ? (envelopesPerSecond(app, startUs) * lengthUs) / 1e6 : 0;
    for (; older > 0 && (injected[older - 1]?.timestampUs ?? 0) >= startUs; older--) count++;
    if (count > room) return endUs - (lengthUs * room) / count;
    room -= count;
    endUs = startUs;
  }
  return fromUs;
}
