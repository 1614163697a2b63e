import { join } from 'node:path';
import { writeEventgeneratorConfig, type WrittenConfig } from '../../platform/eventgenerator-config.js';
import { startTcpProxy, type TcpProxy } from '../../support/tcp-proxy.js';
import {
  startEventgeneratorProcess,
  type EventgeneratorProcess,
} from '../processes/eventgenerator-process.js';
import type { ElasticPlatform } from './platform-process.js';

export interface Member {
  /** As the platform's books call it. */
  readonly number: number;
  readonly process: EventgeneratorProcess;
  readonly config: WrittenConfig;
  /** Between it and PostgreSQL; undefined where it connects directly. */
  readonly network: TcpProxy | undefined;
}

export interface FleetOptions {
  readonly platform: ElasticPlatform;
  readonly databaseUrl: string;
  /** For configurations. */
  readonly folder: string;
  readonly intervalMs: number;
}

const startTimeoutMs = 60_000;

/** The eventgenerators: real processes with elastic ownership. */
export class Fleet {
  readonly #options: FleetOptions;
  #members: readonly Member[] = [];
  /** Those that the benchmark ended itself. */
  readonly #ended = new Set<Member>();

  constructor(options: FleetOptions) {
    this.#options = options;
  }

  /** Those that should be running, oldest first. */
  get living(): readonly Member[] {
    return this.#members.filter((member) => !this.#ended.has(member));
  }

  /** Processes that ended though nobody asked them to. */
  get crashed(): number {
    return this.living.filter(({ process }) => process.hasEnded()).length;
  }

  /** Resolves when it has started, which is not when it has joined. */
  async start({ ownNetwork = false } = {}): Promise<Member> {
    const { platform, databaseUrl, folder, intervalMs } = this.#options;
    const { member: number, logCache, scalingEngine } = await platform.open();
    const url = new URL(databaseUrl);
    const network = ownNetwork ? await startTcpProxy(Number(url.port)) : undefined;
    if (network) url.port = String(network.port);
    const config = await writeEventgeneratorConfig(join(folder, `eventgenerator-${number}.yml`), {
      platform: {
        urls: { uaa: platform.uaaUrl, logCache, scalingEngine },
        ca: platform.ca,
        issueCertificate: async () => platform.certificate,
      },
      policyDbUrl: url.href,
      collectionIntervalSecs: intervalMs / 1000,
      evaluationIntervalSecs: intervalMs / 1000,
      statWindowSecs: 60,
      instanceIndex: number,
    });
    const process = startEventgeneratorProcess(config, [], { EVENTGENERATOR_POOL_MODE: 'elastic' });
    const member = { number, process, config, network };
    // In this order also where several are started at once.
    this.#members = [...this.#members, member].sort((a, b) => a.number - b.number);
    await process.line('eventgenerator.started', startTimeoutMs);
    return member;
  }

  /** As a crash of its machine would. */
  kill(member: Member): void {
    this.#ended.add(member);
    process.kill(member.process.pid, 'SIGKILL');
  }

  /** As `cf scale` does; resolves to how long it took in ms. */
  async terminate(member: Member): Promise<number> {
    this.#ended.add(member);
    const startedMs = performance.now();
    await member.process.stop();
    return performance.now() - startedMs;
  }

  freeze(member: Member): void {
    process.kill(member.process.pid, 'SIGSTOP');
  }

  wake(member: Member): void {
    process.kill(member.process.pid, 'SIGCONT');
  }

  /** Ends what still runs. */
  async stop(): Promise<void> {
    for (const member of this.living) {
      if (!member.process.hasEnded()) this.wake(member);
      member.network?.resume();
    }
    await Promise.all(this.living.map((member) => this.terminate(member)));
    await Promise.all(this.#members.flatMap(({ network }) => (network ? [network.close()] : [])));
  }
}
