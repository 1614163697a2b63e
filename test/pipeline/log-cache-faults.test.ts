import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import { constantLoad } from '../platform/load-script.js';
import type { Fault } from '../platform/faults.js';
import { transports } from './config.js';
import { nothingWrong, startPipeline, stopPipelines, type Pipeline } from './harness.js';
import { policyOf, when } from './policies.js';

/** Would be scaled in by a false zero, and out by a false large number. */
const cpuRules = [when('cpu < 20', '-1'), when('cpu > 80', '+1')];
const allRules = [...cpuRules, when('throughput < 20', '-1'), when('throughput > 80', '+1')];
const app = (guid: string, rules = allRules) => ({
  guid,
  tickSecs: 1,
  instances: 2,
  load: constantLoad({ cpuPercent: 100, requestsPerSecond: 100 }),
  policy: policyOf(...rules),
});
/** Evaluations that are more than enough for a rule with the default breach duration to fire. */
const enoughRounds = 5;

const faults: readonly (readonly [name: string, fault: Fault, failure: string])[] = [
  ['answers 500', { kind: 'status', status: 500 }, 'server-error'],
  ['answers garbage', { kind: 'garbage' }, 'bad-answer'],
  ['breaks the connection', { kind: 'reset' }, 'connection'],
  ['refuses', { kind: 'status', status: 403 }, 'unauthorized'],
];
const guidOf = (name: string) => name.replaceAll(' ', '-');

describe.each(transports)('over %s', (transport) => {
  /** Each of its apps meets a fault of its own. */
  let fleet: Pipeline;
  /** Of a test whose fault meets all. */
  let pipeline: Pipeline | undefined;

  beforeAll(async () => {
    fleet = await startPipeline({
      transport,
      apps: [
        app('healthy'),
        app('hangs', cpuRules), // a query would hang twice as long as a read
        ...faults.map(([name]) => app(guidOf(name))),
      ],
      prepare({ platform }) {
        for (const [name, fault] of faults) {
          platform.faults.set({ server: 'logCache', app: guidOf(name), fault });
        }
        platform.faults.set({ server: 'logCache', app: 'hangs', fault: { kind: 'hang' } });
      },
    });
  });
  afterEach(async () => {
    await pipeline?.stop();
    pipeline = undefined;
  });
  afterAll(stopPipelines);

  async function failsAndRecovers(appId: string, failure: string): Promise<void> {
    await fleet.reaches('collections', 1, { result: failure });
    const report = await fleet.log.until(
      'rounds.collection-failed',
      ({ data }) => data['failure'] === failure,
    );
    expect(report.level).toBe('error');
    // Calls over gRPC share a connection, and with it the fate of one that breaks it.
    if (transport === 'rest') expect(report.data['appId']).toBe(appId);
    await fleet.evaluated('healthy', 3);
    expect(await fleet.rows(appId)).toEqual([]);
    expect(fleet.platform.books.triggersOf(appId)).toEqual([]);

    for (const { id, app: appWithFault } of fleet.platform.faults.list()) {
      if (appWithFault === appId) fleet.platform.faults.lift(id);
    }
    expect(await fleet.freshRows(appId)).not.toEqual([]);
  }

  test.each(faults)(
    'that %s for one app is counted and logged, stored nowhere and no reason to post',
    (name, _fault, failure) => failsAndRecovers(guidOf(name), failure),
  );

  test('repeated failures are one line a minute and kind, and what is left out is counted', async () => {
    await fleet.evaluated('healthy', enoughRounds);
    const kinds = [...faults.map(([, , failure]) => failure), 'timeout'];
    const minutes = Math.ceil((1 + fleet.clock.monotonic()) / 60_000);
    const lines = fleet.log.lines.filter(({ event }) => event === 'rounds.collection-failed');
    expect(lines.length).toBeLessThanOrEqual(kinds.length * minutes);
    const told = lines.reduce((sum, { data }) => sum + 1 + Number(data['suppressed'] ?? 0), 0);
    const counts = await Promise.all(kinds.map((result) => fleet.value('collections', { result })));
    const failures = counts.reduce((sum, count) => sum + count);
    // What later lines will count, and what others have left out, is in the metric alone.
    expect(told).toBeLessThanOrEqual(failures);
    expect(failures).toBeLessThanOrEqual(lines.length + (await fleet.value('logLinesSuppressed')));
  });

  /** Whether all that the app's newest cycle found is stored, so that the next begins later. */
  async function isCycleStored(appId: string): Promise<boolean> {
    const rows = (await pipeline?.rows(appId)) ?? [];
    const newest = rows.reduce(
      (latest, { timestampNs }) => (timestampNs > latest ? timestampNs : latest),
      0n,
    );
    return rows.filter(({ timestampNs }) => timestampNs === newest).length === 2;
  }

  test('log-cache that lost everything is no data, and scales nothing in', async () => {
    // Slow enough that the fault comes and goes between two cycles: one whose read and query see different things proves nothing.
    pipeline = await startPipeline({ transport, apps: [app('shop')], speed: 5 });
    const { books, faults: switches } = pipeline.platform;
    await pipeline.freshRows('shop');
    const fault = switches.set({ server: 'logCache', fault: { kind: 'empty' } });
    await pipeline.reaches('collections', 2 * enoughRounds, { result: 'no_data' });
    await eventually('a cycle to be over', () => isCycleStored('shop'));
    fault.lift();
    const emptied = (await pipeline.rows('shop')).filter(({ value }) => value === '');
    expect(new Set(emptied.map(({ metricType }) => metricType))).toEqual(new Set(['cpu', 'throughput']));
    for (const row of emptied) expect(row.unit).toBe('');
    await pipeline.evaluatedAgain('shop', 3);
    expect(books.triggers.total).toBe(0);

    const { falseRows, ...others } = await pipeline.audit();
    expect(others).toEqual({ lost: 0, duplicated: 0 });
    // log-cache had nothing to show for a while; what it did show was stored truthfully.
    for (const { stored } of falseRows) expect(stored.value).toBe('');
  });

  test('that answers 500 for all is said once a minute, stored nowhere, and all goes on afterwards', async () => {
    const apps = Array.from({ length: 6 }, (_, i) => app(`app-${i}`));
    pipeline = await startPipeline({ transport, apps });
    const { books, faults: switches } = pipeline.platform;
    await pipeline.freshRows('app-0');
    switches.set({ server: 'logCache', fault: { kind: 'status', status: 500 } });
    await pipeline.reaches('collections', 60, { result: 'server-error' });
    // Once a kind: on a busy machine some requests take too long as well, for whatever they ask.
    const errors = pipeline.told().filter(({ level }) => level === 'error');
    const kinds = errors.map(({ event, data }) => `${event} ${String(data['failure'])}`);
    expect(kinds.filter((kind) => kind === 'rounds.collection-failed server-error')).toHaveLength(1);
    expect(kinds.filter((kind) => kind.startsWith('collection.')).length).toBeLessThanOrEqual(1);
    const readiness = await pipeline.get('health', '/health/readiness');
    expect(readiness.status).toBe(200);
    expect(JSON.parse(readiness.body)).toMatchObject({
      overall_status: 'DOWN',
      checks: expect.arrayContaining([{ name: 'log_cache', type: 'log-cache', status: 'DOWN' }]),
    });
    const downSinceNs = BigInt(pipeline.clock.now() - 2_000) * 1_000_000n;
    expect((await pipeline.rows()).filter(({ timestampNs }) => timestampNs > downSinceNs)).toEqual([]);
    switches.clear();
    await pipeline.freshRows('app-5');
    expect(books.triggers.total).toBe(0);
    expect(await pipeline.audit()).toEqual(nothingWrong);
  });

  test('an envelope with NaN is dropped and counted, and the others count', async () => {
    pipeline = await startPipeline({
      transport,
      apps: [app('one-nan'), app('only-nan')],
      prepare: ({ platform }) =>
        platform.faults.set({
          server: 'logCache',
          app: 'only-nan',
          operation: 'read',
          fault: { kind: 'nan' },
        }),
    });
    pipeline.platform.logCache.inject({
      timestampUs: pipeline.clock.now() * 1_000,
      sourceId: 'one-nan',
      instanceId: '0',
      tags: { origin: 'rep', process_type: 'web' },
      body: { type: 'GAUGE', metrics: { cpu: { unit: 'percentage', value: NaN } } },
    });
    for (const { metricType, value } of await pipeline.freshRows('one-nan', 4)) {
      if (metricType === 'cpu') expect(Number(value)).toBeGreaterThanOrEqual(49);
    }
    await pipeline.freshRows('only-nan', 2);
    expect(await pipeline.value('samplesDropped')).toBeGreaterThan(0);
    expect(pipeline.platform.books.triggers.total).toBe(0);

    const { falseRows, ...others } = await pipeline.audit();
    expect(others).toEqual({ lost: 0, duplicated: 0 });
    // The platform's models know nothing of the NaN that log-cache made of them.
    for (const { stored } of falseRows) {
      expect(stored).toMatchObject({ appId: 'only-nan', metricType: 'cpu', value: '' });
    }
  });

  // Threads have clocks of their own, which nobody hurries: late, because a hanging read is given up after 5 s.
  test('that hangs for one app is counted and logged, stored nowhere and no reason to post', async () => {
    await failsAndRecovers('hangs', 'timeout');
  });

  test('what is stored is true, and nothing was lost', async () => {
    await fleet.freshRows('healthy');
    expect(await fleet.audit()).toEqual(nothingWrong);
  });
});
