import { expect, test } from '@jest/globals';
import { runJob } from '../../../src/collection/worker/run-job.js';
import { LogCacheError, type GaugeEnvelope, type LogCache } from '../../../src/log-cache/log-cache.js';
import { secsToNs } from '../../../src/util/clock.js';
import { ManualClock } from '../../support/manual-clock.js';

const endNs = 1_764_000_000_000_000_000n;
const startNs = endNs - secsToNs(45);

const job = {
  kind: 'instances',
  appId: 'app',
  startNs,
  endNs,
  authorization: 'token',
} as const;

function cpu(instanceId: string, changes: Partial<GaugeEnvelope['tags']> = {}, ageSecs = 5): GaugeEnvelope {
  return {
    timestamp: String(endNs - secsToNs(ageSecs)),
    sourceId: 'app',
    instanceId,
    tags: {
      origin: 'rep',
      process_type: 'web',
      process_instance_id: `process ${instanceId}`,
      ...changes,
    },
    metrics: [{ name: 'cpu', unit: 'percentage', value: 1 }],
  };
}

async function count(envelopes: readonly GaugeEnvelope[] | Error) {
  const asked: object[] = [];
  const logCache = {
    async read(request, take) {
      asked.push(request);
      if (envelopes instanceof Error) throw envelopes;
      return take({ envelopes, bytes: 10 });
    },
  } as Partial<LogCache> as LogCache;
  return { asked, result: await runJob(job, logCache, new ManualClock()) };
}

test.each([
  ['none', [], 0],
  ['one', [cpu('0')], 1],
  ['three, of which each reported several times', ['2', '0', '1', '0', '2'].map((id) => cpu(id)), 3],
  ['three, of which one is away', [cpu('0'), cpu('2')], 3],
  ['two that are being replaced', [cpu('0'), cpu('1'), cpu('0', { process_instance_id: 'new' })], 2],
  ['three, of which the last is late', [cpu('0'), cpu('2', {}, 25)], 3],
  ['one, since the second is gone', [cpu('0'), cpu('1', {}, 26), cpu('0', {}, 40)], 1],
  ['one, besides processes that are not scaled', [cpu('0'), cpu('7', { process_type: 'worker' })], 1],
  ['one, besides a custom metric of that name', [cpu('0'), cpu('7', { origin: 'app' })], 1],
  ['one, besides an index that is none', [cpu('0'), cpu('x'), cpu('')], 1],
])('%s', async (_, envelopes, instances) => {
  const { asked, result } = await count(envelopes);
  expect(result).toMatchObject({ kind: 'instances', instances, cost: { requests: 1 } });
  expect(asked).toEqual([
    { startNs, endNs, limit: 1_000, sourceId: 'app', names: ['cpu'], authorization: 'token' },
  ]);
});

test('a read that fails is no count', async () => {
  const { result } = await count(new LogCacheError('timeout', 'no answer'));
  expect(result).toMatchObject({ kind: 'failed', failure: 'timeout' });
});
