import { afterEach, expect, jest, test } from '@jest/globals';
import { setTimeout as sleep } from 'node:timers/promises';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { collectProcessMetrics } from '../../src/observability/process-metrics.js';

const resolutionMs = 5;
const env = { EVENTGENERATOR_LOOP_RESOLUTION_MS: String(resolutionMs) };

/** Seconds, as one scrape has it. */
async function longestLag(registry: Registry): Promise<number> {
  const metrics = await registry.getMetricsAsJSON();
  return metrics.find(({ name }) => name === 'nodejs_eventloop_lag_max_seconds')?.values[0]?.value ?? NaN;
}

function block(ms: number): void {
  const endMs = performance.now() + ms;
  while (performance.now() < endMs);
}

afterEach(() => void jest.restoreAllMocks());

test('the names are those of prom-client', async () => {
  const [ours, usual] = [new Registry(), new Registry()];
  collectProcessMetrics(ours, {});
  collectDefaultMetrics({ register: usual });
  const named = async (registry: Registry) =>
    (await registry.getMetricsAsJSON()).map(({ name, type }) => ({ name, type }));
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
  expect((await named(ours)).sort(byName)).toEqual((await named(usual)).sort(byName));
});

test('a task that holds the loop up is the longest lag, but for the resolution', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry, env);
  block(200);
  // Whoever waits in the loop behind the task has seen the monitor's look before.
  await sleep(resolutionMs + 1);
  expect(await longestLag(registry)).toBeGreaterThanOrEqual(0.2 - 2 * (resolutionMs / 1000));
});

test('a task during which a scrape is asked for is not missed', async () => {
  const registry = new Registry();
  collectProcessMetrics(registry, env);
  await sleep(resolutionMs + 1);
  await longestLag(registry);
  block(200);
  await sleep(resolutionMs + 1);
  expect(await longestLag(registry)).toBeGreaterThanOrEqual(0.2 - 2 * (resolutionMs / 1000));
});

test('the loop is measured four times a second, and once a second while there is little to do', async () => {
  const real = globalThis.setTimeout;
  let isMonitor = false;
  let delayMs: number | undefined;
  let measured = (): void => undefined;
  // Monitors of other tests go on: only what is set by this one, or by its own callbacks, counts.
  const asMonitor = (work: () => void): void => {
    isMonitor = true;
    work();
    isMonitor = false;
  };
  jest.spyOn(globalThis, 'setTimeout').mockImplementation(((callback: () => void, ms: number) => {
    if (!isMonitor) return real(callback, ms);
    delayMs = ms;
    measured();
    return real(() => asMonitor(callback), ms);
  }) as typeof setTimeout);
  const use = jest.spyOn(performance, 'eventLoopUtilization');
  const nextWith = (utilization: number) => {
    use.mockReturnValue({ idle: 0, active: 0, utilization });
    return new Promise<void>((resolve) => void (measured = resolve));
  };

  asMonitor(() => collectProcessMetrics(new Registry(), {}));
  expect(delayMs).toBe(250);
  await nextWith(0.01);
  expect(delayMs).toBe(250);
  await nextWith(0.009);
  expect(delayMs).toBe(1_000);
  await nextWith(0.02);
  expect(delayMs).toBe(250);
});

test.each(['', '0', '-1', '1000', 'soon', '1.5'])('the resolution "%s" is the usual one', async (text) => {
  const registry = new Registry();
  collectProcessMetrics(registry, { EVENTGENERATOR_LOOP_RESOLUTION_MS: text });
  // One look in 250 ms sees what holds the loop up for longer.
  block(550);
  await sleep(251);
  expect(await longestLag(registry)).toBeGreaterThanOrEqual(0.2);
});
