import { afterEach, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { nothingWrong, startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when } from './policies.js';

afterEach(stopPipelines);

const breaching = (guid: string) => ({
  guid,
  tickSecs: 1,
  load: constantLoad({ cpuPercent: 1_000 }),
  policy: policyOf(when('cpu > 80', '+1')),
});
const apps = ['one', 'two', 'three', 'four'].map(breaching);

/** Longer than the shared breaker ever stays open, and the turn of an app whose probe failed. */
const secondsMs = 35_000;

async function allAreScaled({ platform, clock }: Pipeline): Promise<void> {
  const backAtMs = clock.now();
  await platform.books.until(() => apps.every(({ guid }) => platform.apps.get(guid)?.instances === 2));
  for (const { guid } of apps) {
    const scaled = platform.books.triggersOf(guid).find(({ result }) => result === 'scaled');
    expect((scaled?.atMs ?? NaN) - backAtMs).toBeLessThan(secondsMs);
  }
}

function eventsOf(pipeline: Pipeline): string[] {
  return pipeline.told().map(({ event }) => event);
}

test('an engine that is down is asked seldom, silences no app, and all are scaled seconds after its return', async () => {
  const pipeline = await startPipeline({
    apps,
    prepare: ({ platform }) => platform.takeDown('scalingEngine'),
  });
  const { platform, log } = pipeline;
  await log.until('evaluation.shared-breaker-opened');
  await pipeline.reaches('triggers', 3, { result: 'no-connection' });
  await pipeline.reaches('evaluations', 1, { outcome: 'breaker-open' });
  await pipeline.reaches('sharedBreakerState', 1);
  expect(await pipeline.value('breakersOpen')).toBe(0);

  // One probe at a time, after 2, 4, 8 … s.
  const attempts = await pipeline.value('triggers', { result: 'no-connection' });
  expect(attempts).toBeLessThanOrEqual(apps.length + 2 + Math.log2(1 + pipeline.clock.monotonic() / 2_000));
  const failures = log.lines.filter(({ event }) => event === 'evaluation.trigger-failed');
  expect(failures.length).toBeLessThanOrEqual(Math.ceil(pipeline.clock.monotonic() / 60_000));
  expect(failures[0]).toMatchObject({ level: 'error', data: { fault: 'no-connection' } });
  expect(failures[0]?.message).toContain(
    `The scaling engine at ${platform.urls.scalingEngine} could not be asked`,
  );

  await platform.bringUp('scalingEngine');
  await allAreScaled(pipeline);
  await log.until('evaluation.shared-breaker-closed');
  expect(eventsOf(pipeline).filter((event) => event.startsWith('evaluation.shared-breaker'))).toEqual([
    'evaluation.shared-breaker-opened',
    'evaluation.shared-breaker-closed',
  ]);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('an engine that answers 500 to everybody opens the shared breaker, and no app pays for it later', async () => {
  const pipeline = await startPipeline({
    apps,
    prepare: ({ platform }) =>
      platform.faults.set({ server: 'scalingEngine', fault: { kind: 'status', status: 500, body: '' } }),
  });
  await pipeline.log.until('evaluation.shared-breaker-opened');
  await pipeline.reaches('triggers', 4, { result: 'unavailable' });
  expect(pipeline.platform.books.triggers.total).toBe(0);
  pipeline.platform.faults.clear();
  // An app whose own breaker was first to open would be silenced for five minutes.
  await allAreScaled(pipeline);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('an engine that hangs is given up at its deadline, and triggers go through when it answers again', async () => {
  const pipeline = await startPipeline({
    apps,
    // Connections are made in real time: the deadline must leave a busy machine time for that.
    speed: 5,
    configure: (config) => ({ ...config, httpClientTimeoutMs: 10_000 }),
    prepare: ({ platform }) => platform.faults.set({ server: 'scalingEngine', fault: { kind: 'hang' } }),
  });
  const failure = await pipeline.log.until('evaluation.trigger-failed');
  expect(failure.message).toContain('did not answer within 10000 ms (http_client_timeout)');
  // Nothing else waits for the engine.
  await pipeline.freshRows('one');
  pipeline.platform.faults.clear();
  await allAreScaled(pipeline);
  expect(await pipeline.audit()).toEqual(nothingWrong);
});

test('an app that the engine refuses is silenced alone, until its policy changes', async () => {
  const pipeline = await startPipeline({
    apps: [...apps, breaching('refused')],
    configure: (config) => ({ ...config, evaluator: { ...config.evaluator, evaluationIntervalMs: 1_000 } }),
    prepare: ({ platform }) =>
      platform.faults.set({
        server: 'scalingEngine',
        app: 'refused',
        fault: {
          kind: 'status',
          status: 422,
          body: '{"code":"CF-UnprocessableEntity","message":"quota exceeded"}',
        },
      }),
  });
  const opened = await pipeline.log.until('evaluation.app-breaker-opened');
  expect(opened.data).toMatchObject({ appId: 'refused', failures: 3, fault: 'rejected' });
  expect(opened.data['cause']).toContain('quota exceeded');
  expect(Date.parse(String(opened.data['until']))).toBeGreaterThan(pipeline.clock.now());
  const told = pipeline.log.lines.find(({ event }) => event === 'evaluation.trigger-failed');
  expect(told).toMatchObject({ data: { appId: 'refused', fault: 'rejected' } });
  expect(told?.message).toContain('answered 422 (CF-UnprocessableEntity: quota exceeded)');
  await allAreScaled(pipeline);
  await pipeline.evaluatedAgain('refused', 3);
  expect(await pipeline.value('triggers', { result: 'rejected' })).toBe(3);
  await pipeline.reaches('breakersOpen', 1);
  expect(eventsOf(pipeline)).not.toContain('evaluation.shared-breaker-opened');

  pipeline.platform.faults.clear();
  await pipeline.setPolicy('refused', policyOf(when('cpu > 90', '+2')));
  expect((await pipeline.log.until('evaluation.app-breaker-closed')).data).toEqual({ appId: 'refused' });
  await pipeline.platform.books.until((books) => books.triggersOf('refused').length > 0);
  expect(pipeline.platform.books.triggersOf('refused')[0]).toMatchObject({
    result: 'scaled',
    threshold: '90',
  });
  expect(await pipeline.audit()).toEqual(nothingWrong);
});
