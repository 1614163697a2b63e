import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { ask } from '../platform/client.js';
import { eventually } from '../support/eventually.js';
import { transports } from './config.js';
import {
  nothingWrong,
  startPipeline,
  stopPipelines,
  type Pipeline,
  type PipelineOptions,
} from './harness.js';
import { policyOf, when } from './policies.js';

const busy = constantLoad({ cpuPercent: 1_000, requestsPerSecond: 100 });
const quiet = constantLoad({ cpuPercent: 1 });
/** Evaluations that are more than enough for a rule with the default breach duration to fire. */
const enoughRounds = 6;

const apps: PipelineOptions['apps'] = [
  {
    guid: 'spike',
    tickSecs: 1,
    load: busy,
    policy: {
      ...policyOf({ ...when('cpu > 80', '+1', { cool_down_secs: 8 }), unknown_field: [1] } as never),
      schedules: { timezone: 'Europe/Berlin' },
    },
  },
  {
    guid: 'decay',
    tickSecs: 1,
    instances: 3,
    load: quiet,
    policy: policyOf(when('cpu < 20', '-1', { breach_duration_secs: 4 })),
  },
  {
    guid: 'at-maximum',
    tickSecs: 1,
    instances: 2,
    maxInstances: 2,
    load: busy,
    policy: policyOf(when('cpu > 80', '+1')),
  },
  {
    guid: 'idle-app',
    tickSecs: 1,
    instances: 2,
    load: quiet,
    policy: policyOf(when('throughput < 5', '-1')),
  },
  {
    guid: 'unknown-app',
    silent: true,
    instances: 2,
    load: busy,
    policy: policyOf(when('throughput < 5', '-1'), when('cpu < 20', '-1'), when('cpu > 10', '+1')),
  },
  {
    guid: 'steady-app',
    tickSecs: 1,
    load: constantLoad({ cpuPercent: 50 }),
    policy: policyOf(when('cpu > 80', '+1'), when('cpu < 20', '-1')),
  },
  {
    guid: 'odd-operator',
    tickSecs: 1,
    load: busy,
    policy: policyOf(when('cpu => 80', '+5'), when('cpu > 80', '+1', { cool_down_secs: 3600 })),
  },
  { guid: 'no-policy', load: busy, policy: null },
  { guid: 'policy-is-a-list', load: busy, policy: [] },
  { guid: 'policy-is-a-string', load: busy, policy: 'x' },
  { guid: 'rules-are-no-list', load: busy, policy: { scaling_rules: { metric_type: 'cpu' } } },
  { guid: 'schedules-only', load: busy, policy: { schedules: {} } },
];

describe.each(transports)('over %s', (transport) => {
  let pipeline: Pipeline;
  beforeAll(async () => {
    pipeline = await startPipeline({
      transport,
      apps,
    });
  });
  afterAll(stopPipelines);

  test('a spike is scaled out with the trigger that the rule describes, and its cool-down is respected', async () => {
    const { books } = pipeline.platform;
    await books.until(() => books.triggersOf('spike').length >= 3);
    const triggers = books.triggersOf('spike');
    expect(triggers.slice(0, 2)).toEqual(
      [1, 2].map((before) => ({
        atMs: expect.any(Number),
        receivedMs: expect.any(Number),
        result: 'scaled',
        metricType: 'cpu',
        metricUnit: '%',
        operator: '>',
        threshold: '80',
        breachDurationSecs: '5',
        coolDownSecs: '8',
        adjustment: '+1',
        before,
        after: before + 1,
      })),
    );
    // Asked too early the scaling engine would have answered "cooling-down" instead.
    expect(triggers.map(({ result }) => result)).toEqual(triggers.map(() => 'scaled'));
  });

  test('an app with little to do is scaled in, and the scaling engine is left to its default cool-down', async () => {
    const { books } = pipeline.platform;
    await books.until(() => books.triggersOf('decay').length > 0);
    await pipeline.evaluatedAgain('decay', 2);
    const triggers = books.triggersOf('decay');
    expect(triggers[0]).toEqual(
      expect.objectContaining({
        result: 'scaled',
        operator: '<',
        breachDurationSecs: '4',
        coolDownSecs: '0',
        before: 3,
        after: 2,
      }),
    );
    // Another one may follow on a machine so busy that the test outlasts the cool-down.
    for (const [i, { atMs }] of triggers.slice(1).entries()) {
      expect(atMs - (triggers[i]?.atMs ?? NaN)).toBeGreaterThanOrEqual(300_000);
    }
    expect(await pipeline.value('evaluations', { outcome: 'cooling-down' })).toBeGreaterThan(0);
  });

  test('at its maximum an app is asked for less and less often', async () => {
    const { books } = pipeline.platform;
    await books.until(() => books.triggersOf('at-maximum').length >= 3);
    const triggers = books.triggersOf('at-maximum');
    const [first = NaN, second = NaN, third = NaN] = triggers.map(({ atMs }) => atMs);
    expect(triggers[0]).toMatchObject({ result: 'ignored', before: 2, after: 2 });
    expect(second - first).toBeGreaterThanOrEqual(2_000);
    expect(third - second).toBeGreaterThanOrEqual(4_000);
    expect(await pipeline.value('triggers', { result: 'ignored' })).toBeGreaterThanOrEqual(3);
    await pipeline.reaches('evaluations', 1, { outcome: 'at-limit-backoff' });
  });

  test('an idle app that runs has a throughput of zero and is scaled in', async () => {
    const { books } = pipeline.platform;
    await books.until(() => books.triggersOf('idle-app').length > 0);
    expect(books.triggersOf('idle-app')[0]).toMatchObject({
      metricType: 'throughput',
      metricUnit: 'rps',
      after: 1,
    });
    const [row] = await pipeline.freshRows('idle-app');
    expect(row).toMatchObject({ metricType: 'throughput', value: '0', unit: 'rps' });
  });

  test('an app that log-cache does not know has no data and is never scaled', async () => {
    await pipeline.evaluated('unknown-app', enoughRounds);
    expect(pipeline.platform.books.triggersOf('unknown-app')).toEqual([]);
    const rows = await pipeline.freshRows('unknown-app', 2);
    expect(new Set(rows.map(({ metricType }) => metricType))).toEqual(new Set(['cpu', 'throughput']));
    for (const row of rows) expect(row).toMatchObject({ value: '', unit: '' });
    expect(await pipeline.value('collections', { result: 'no_data' })).toBeGreaterThanOrEqual(enoughRounds);
    expect(await pipeline.value('evaluations', { outcome: 'no-data' })).toBeGreaterThan(0);
  });

  test('an app between its thresholds is left alone', async () => {
    await pipeline.evaluated('steady-app', enoughRounds);
    expect(pipeline.platform.books.triggersOf('steady-app')).toEqual([]);
  });

  test('a rule with an unknown operator is reported once and skipped, the next one is not', async () => {
    const { books } = pipeline.platform;
    await books.until(() => books.triggersOf('odd-operator').length > 0);
    await pipeline.evaluatedAgain('odd-operator', 2);
    expect(books.triggersOf('odd-operator')).toEqual([
      expect.objectContaining({ operator: '>', adjustment: '+1' }),
    ]);
    expect(pipeline.log.lines.filter(({ event }) => event === 'evaluation.unknown-operator')).toEqual([
      {
        level: 'error',
        event: 'evaluation.unknown-operator',
        message: expect.stringContaining('operator "=>" is unknown, the rule is skipped: use one of'),
        data: { appId: 'odd-operator', metricType: 'cpu' },
      },
    ]);
  });

  test('a broken policy costs its own app only, and is reported once', async () => {
    const polls = await pipeline.value('policyPolls', { result: 'success' });
    await pipeline.reaches('policyPolls', polls + 2, { result: 'success' });
    const reports = pipeline.log.lines.filter(({ event }) => event === 'policy.policy-broken');
    expect(reports.map(({ data, message }) => [data['appId'], message]).sort()).toEqual([
      ['no-policy', 'the policy cannot be used: it is NULL'],
      ['policy-is-a-list', 'the policy cannot be used: it is a list instead of an object'],
      ['policy-is-a-string', 'the policy cannot be used: it is a string instead of an object'],
      ['rules-are-no-list', 'the policy cannot be used: scaling_rules is an object instead of a list'],
    ]);
    expect(await pipeline.value('policiesBroken')).toBe(4);
    expect(await pipeline.value('policies')).toBe(12);
    expect(await pipeline.value('appsOwned')).toBe(7);
  });

  test('the API server is told the history that was just recorded, from memory and from the database', async () => {
    const [fresh] = await pipeline.freshRows('steady-app');
    const path = '/v1/apps/steady-app/aggregated_metric_histories/cpu';
    const fromMemory = await pipeline.get('api', `${path}?start=${fresh?.timestampNs}&end=-1`);
    expect(fromMemory.status).toBe(200);
    expect(JSON.parse(fromMemory.body)).toContainEqual({
      app_id: 'steady-app',
      name: 'cpu',
      unit: '%',
      value: fresh?.value,
      timestamp: Number(fresh?.timestampNs),
    });
    const fromDatabase = await pipeline.get('api', `${path}?start=0&end=-1`);
    expect((JSON.parse(fromDatabase.body) as object[]).length).toBeGreaterThan(0);

    const url = `https://127.0.0.1:${pipeline.addresses.api?.port}${path}`;
    await expect(ask(url, { ca: pipeline.platform.ca })).rejects.toThrow(
      /certificate required|socket hang up|ECONNRESET/,
    );
  });

  test('health endpoints answer, and metrics tell about everything but single apps', async () => {
    expect(await pipeline.get('health', '/health/liveness')).toMatchObject({ status: 200 });
    // On a busy machine a database may have missed the deadline of a check, which hurries: a later one is in time.
    await eventually('every component UP', async () => {
      const readiness = await pipeline.get('health', '/health/readiness');
      expect(readiness.status).toBe(200);
      return (JSON.parse(readiness.body) as { overall_status: string }).overall_status === 'UP';
    });

    await pipeline.evaluated('steady-app', 1);
    const { status, body } = await pipeline.get('health', '/health');
    expect(status).toBe(200);
    for (const name of [
      'policies',
      'policies_age_seconds',
      'apps_owned',
      'collections_total{result="value"}',
      'collection_lag_seconds_count',
      'collection_duration_seconds_count',
      'log_cache_envelopes_total',
      'log_cache_bytes_total',
      'evaluations_total{outcome="not-breached"}',
      'worker_pool_utilization',
      'app_metric_writer_buffered_rows',
      'app_metric_rows_written_total',
      'scaling_engine_breaker_state',
      'concurrent_http_request',
      'policyDB_open_connections',
      'appMetricDB_open_connections',
    ]) {
      expect(body).toContain(`\nautoscaler_eventgenerator_${name} `);
    }
    for (const { guid } of pipeline.platform.apps) expect(body).not.toContain(guid);
  });

  test('what is stored is true, nothing was lost, and nothing but state changes was logged', async () => {
    await pipeline.freshRows('steady-app');
    expect(await pipeline.audit()).toEqual(nothingWrong);
    const events = new Set(pipeline.told().map(({ event }) => event));
    for (const expected of [
      'decisions.decision-changed',
      'evaluation.scaled',
      'evaluation.unknown-operator',
      'http.api.handshake-refused',
      'policy.doubtful',
      'policy.policy-broken',
    ]) {
      events.delete(expected);
    }
    expect([...events].sort()).toEqual(['ownership.static-share', 'policy.policies-changed', 'warm-up.done']);
  });
});
