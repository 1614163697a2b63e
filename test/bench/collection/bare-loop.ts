import { Agent, get } from 'node:https';

/*
 * The least that a collector can do: one thread, node:https with kept-alive connections, JSON.parse and a mean, asking
 * as the Go eventgenerator asks: once per app and metric type, over the whole window, with an unanchored filter.
 */

export interface BareRound {
  readonly cpu: number;
  readonly memoryutil: number;
  readonly throughput: number;
}

export interface BareLoop {
  /** endNs: end of the stat window. */
  cycle(appId: string, endNs: bigint): Promise<BareRound>;
  close(): void;
}

interface Envelope {
  readonly timestamp: string;
  readonly instance_id: string;
  readonly gauge: { readonly metrics: Readonly<Record<string, { readonly value: number }>> };
}

const statWindowNs = 120_000_000_000n;

export function createBareLoop(url: string, ca: string, authorization: string): BareLoop {
  const agent = new Agent({ keepAlive: true, ca });
  const headers = { authorization };

  const ask = (path: string) =>
    new Promise<unknown>((resolve, reject) => {
      get(url + path, { agent, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve(JSON.parse(Buffer.concat(chunks).toString())));
        response.on('error', reject);
      }).on('error', reject);
    });

  const read = async (appId: string, endNs: bigint, filter: string) => {
    const query = `end_time=${endNs}&envelope_types=GAUGE&name_filter=${encodeURIComponent(filter)}&start_time=${endNs - statWindowNs}`;
    const answer = await ask(`/api/v1/read/${appId}?${query}`);
    return (answer as { envelopes: { batch: Envelope[] } }).envelopes.batch;
  };

  return {
    async cycle(appId, endNs) {
      const cpu = (await read(appId, endNs, 'cpu')).flatMap(({ gauge }) => {
        const value = gauge.metrics['cpu']?.value;
        return value === undefined ? [] : [Math.ceil(value)];
      });
      const memory = new Map<string, { usage: number; quota: number }>();
      for (const { timestamp, instance_id, gauge } of await read(appId, endNs, 'memory|memory_quota')) {
        const key = `${timestamp} ${instance_id}`;
        const pair = memory.get(key) ?? { usage: 0, quota: 0 };
        memory.set(key, pair);
        pair.usage = gauge.metrics['memory']?.value ?? pair.usage;
        pair.quota = gauge.metrics['memory_quota']?.value ?? pair.quota;
      }
      const promql = `sum by (instance_id) (count_over_time(http{source_id='${appId}',peer_type='Client'}[40s])) / 40`;
      const query = `query=${encodeURIComponent(promql)}&time=${endNs / 1_000_000_000n}`;
      const answer = await ask(`/api/v1/query?${query}`);
      const { result } = (answer as { data: { result: { value: [number, string] }[] } }).data;
      return {
        cpu: ceilOfMean(cpu),
        memoryutil: ceilOfMean(
          [...memory.values()].map(({ usage, quota }) => Math.ceil((usage * 100) / quota)),
        ),
        throughput: ceilOfMean(result.map(({ value: [, value] }) => Math.ceil(Number(value)))),
      };
    },
    close: () => agent.destroy(),
  };
}

function ceilOfMean(values: readonly number[]): number {
  return Math.ceil(values.reduce((sum, value) => sum + value, 0) / values.length);
}
