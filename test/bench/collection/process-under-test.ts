import { fork } from 'node:child_process';
import { once } from 'node:events';
import { createAuthorizedCollector } from '../../../src/collection/plan/authorized-collector.js';
import { createAppCollector } from '../../../src/collection/plan/collect-app.js';
import { createCollectorPool, threadsFor } from '../../../src/collection/pool/collector-pool.js';
import { mostInFlight } from '../../../src/collection/plan/concurrency-limit.js';
import { systemClock } from '../../../src/util/clock.js';
import { trusting } from '../../collection/trusting.js';
import { silentLogger } from '../../support/silent-logger.js';
import type { Transport } from '../../platform/eventgenerator-config.js';
import { wholeCycle } from '../../collection/whole-cycle.js';
import { type BareRound, createBareLoop } from './bare-loop.js';
import type { Listening, Served } from './prepared-log-cache.js';

/** One way to collect an app. */
export interface Contender {
  cycle(appId: string, endNs: bigint): Promise<BareRound>;
  close(): unknown;
}

export interface PreparedLogCache extends Listening {
  served(): Promise<Served>;
  close(): void;
}

export async function startLogCache(): Promise<PreparedLogCache> {
  // Whatever this process is run with, such as a profiler, is not meant for that one.
  const child = fork(new URL('./prepared-log-cache.js', import.meta.url), { execArgv: [] });
  const [listening] = (await once(child, 'message')) as [Listening];
  return {
    ...listening,
    async served() {
      child.send('served?');
      const [served] = (await once(child, 'message')) as [Served];
      return served;
    },
    close: () => child.disconnect(),
  };
}

/** About as long as a token of UAA. */
const authorization = `bearer ${'x'.repeat(1000)}`;

export function bareContender({ url, ca }: Listening): Contender {
  return createBareLoop(url, ca, authorization);
}

/** What the eventgenerator has between its schedule and its history: threads, shared queries, settled windows. */
export function ourContender({ url, grpc, ca }: Listening, transport: Transport): Contender {
  const pool = createCollectorPool({
    workerData: {
      logCache:
        transport === 'grpc'
          ? { transport, ...grpc, ca: [ca] }
          : { transport, url, ca: [ca], skipSslValidation: false },
      readTimeoutMs: 5_000,
      queryTimeoutMs: 10_000,
    },
    threads: threadsFor(mostInFlight(20)),
    mostJobs: mostInFlight(20),
    clock: systemClock,
    logger: silentLogger,
  });
  const tokens = {
    authorization: async () => authorization,
    refreshAfterRejection: async () => null,
    accepted: () => {},
  };
  const collector = createAuthorizedCollector(pool, transport === 'grpc' ? null : tokens);
  const apps = createAppCollector(
    { collector, queries: { isUp: () => true } },
    systemClock,
    trusting(systemClock),
  );
  return {
    async cycle(appId, endNs) {
      const metricTypes = ['cpu', 'memoryutil', 'throughput'];
      const request = { appId, metricTypes, endNs, statWindowSecs: 120, httpWindowSecs: 40 };
      const { outcomes } = await wholeCycle(apps.collect(request));
      const valueOf = (metricType: string) => {
        const outcome = outcomes.get(metricType);
        if (outcome?.kind === 'value') return Number(outcome.value);
        throw new Error(`no ${metricType} of ${appId}: ${JSON.stringify(outcome)}`);
      };
      return { cpu: valueOf('cpu'), memoryutil: valueOf('memoryutil'), throughput: valueOf('throughput') };
    },
    close: () => pool.close(),
  };
}
