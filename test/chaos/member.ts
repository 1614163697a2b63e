import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  startEventgeneratorProcess,
  type EventgeneratorProcess,
  type LogLine,
} from '../bench/processes/eventgenerator-process.js';
import { writeEventgeneratorConfig, type WrittenConfig } from '../platform/eventgenerator-config.js';
import type { Platform } from '../platform/platform.js';
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.js';
import { nameOf, namesPreload, onName } from './names.js';
import { countsIn, noCounts, type RowCounts } from './row-counts.js';

export interface MemberOptions {
  readonly index: number;
  readonly platform: Platform;
  readonly folder: string;
  readonly namesFile: string;
  readonly policyDbUrl: string;
  readonly appMetricsDbUrl: string;
  readonly intervalSecs: number;
}

/** How a process ended after SIGTERM. */
export interface StopOutcome {
  readonly member: number;
  readonly code: number | NodeJS.Signals;
  readonly ms: number;
}

/** One process of a member, from its start to its end. */
export interface Generation {
  readonly process: EventgeneratorProcess;
  /** What it had collected and not yet written when it was last asked. */
  counts: RowCounts;
  end: 'running' | 'killed' | 'terminated' | 'crashed';
}

/** Module that sets the clock of the process that loads it. */
const clockPreload = new URL('clock-preload.js', import.meta.url);

/** The shortest that a configuration may have. */
export const statWindowSecs = 60;

const startTimeoutMs = 60_000;
const scrapeTimeoutMs = 5_000;
/** What an instance has on Cloud Foundry before it is killed. */
const longestStopMs = 10_000;

/** One eventgenerator: its configuration, its ways to the databases, and its processes one after the other. */
export class Member {
  readonly generations: Generation[] = [];
  isFrozen = false;

  private constructor(
    readonly index: number,
    readonly config: WrittenConfig,
    readonly policyDb: TcpProxy,
    readonly appMetricsDb: TcpProxy,
    private readonly namesFile: string,
    private readonly clockFile: string,
  ) {}

  static async create(options: MemberOptions): Promise<Member> {
    const { index, platform, folder, intervalSecs } = options;
    const policyDb = await startTcpProxy(Number(new URL(options.policyDbUrl).port));
    const appMetricsDb = await startTcpProxy(Number(new URL(options.appMetricsDbUrl).port));
    const { urls } = platform;
    const config = await writeEventgeneratorConfig(join(folder, `eventgenerator-${index}.yml`), {
      platform: {
        urls: {
          uaa: onName(urls.uaa, 'uaa'),
          logCache: onName(urls.logCache, 'logCache'),
          scalingEngine: onName(urls.scalingEngine, 'scalingEngine'),
        },
        ca: platform.ca,
        issueCertificate: () => platform.issueCertificate('eventgenerator'),
      },
      policyDbUrl: through(options.policyDbUrl, policyDb),
      appMetricsDbUrl: through(options.appMetricsDbUrl, appMetricsDb),
      collectionIntervalSecs: intervalSecs,
      evaluationIntervalSecs: intervalSecs,
      policyPollerIntervalSecs: intervalSecs,
      saveIntervalSecs: 2,
      statWindowSecs,
      instanceIndex: index,
    });
    const clockFile = join(folder, `clock-${index}`);
    return new Member(index, config, policyDb, appMetricsDb, options.namesFile, clockFile);
  }

  /** The newest of its processes. */
  get now(): Generation {
    const newest = this.generations.at(-1);
    if (!newest) throw new Error(`member ${this.index} was never started`);
    return newest;
  }

  get isRunning(): boolean {
    return this.generations.length > 0 && this.now.end === 'running';
  }

  /** Resolves when it has started; the platform may be in a bad state, so that this is not a condition. */
  async start(): Promise<void> {
    const process = startEventgeneratorProcess(this.config, [namesPreload, clockPreload], {
      EVENTGENERATOR_POOL_MODE: 'elastic',
      CHAOS_NAMES_FILE: this.namesFile,
      CHAOS_CLOCK_FILE: this.clockFile,
    });
    const generation: Generation = { process, counts: noCounts, end: 'running' };
    this.generations.push(generation);
    void process.ended.then(() => {
      if (generation.end === 'running') generation.end = 'crashed';
    });
    await process.line('eventgenerator.started', startTimeoutMs).catch(() => undefined);
  }

  /** Brings its counts up to date. */
  async scrape(): Promise<void> {
    if (!this.isRunning || this.isFrozen) return;
    const generation = this.now;
    const counts = await countsIn(this.config.ports.health, scrapeTimeoutMs);
    if (counts) generation.counts = counts;
  }

  async kill(): Promise<void> {
    const generation = this.now;
    if (generation.end !== 'running') return;
    await this.scrape();
    generation.end = 'killed';
    process.kill(generation.process.pid, 'SIGKILL');
    await generation.process.ended;
  }

  /** SIGTERM; resolves when it has ended. Undefined where nothing ran. */
  async terminate(): Promise<StopOutcome | undefined> {
    const generation = this.now;
    if (generation.end !== 'running') return undefined;
    await this.scrape();
    generation.end = 'terminated';
    const startedMs = performance.now();
    process.kill(generation.process.pid, 'SIGTERM');
    const force = setTimeout(() => process.kill(generation.process.pid, 'SIGKILL'), longestStopMs);
    const code = await generation.process.ended;
    clearTimeout(force);
    return { member: this.index, code, ms: performance.now() - startedMs };
  }

  freeze(): void {
    if (!this.isRunning) return;
    this.isFrozen = true;
    process.kill(this.now.process.pid, 'SIGSTOP');
  }

  wake(): void {
    if (!this.isFrozen) return;
    this.isFrozen = false;
    if (this.isRunning) process.kill(this.now.process.pid, 'SIGCONT');
  }

  /** Sets the wall clock of its processes, from now on and until it is set again; 0: right. */
  setClock(aheadMs: number): Promise<void> {
    return writeFile(this.clockFile, String(aheadMs));
  }

  /** Puts other files in the place of its certificate and key. */
  async replaceCertificate(certificate: { readonly chain: string; readonly key: string }): Promise<void> {
    await writeFile(this.config.certificates.cert, certificate.chain);
    await writeFile(this.config.certificates.key, certificate.key, { mode: 0o600 });
  }

  async certificate(): Promise<{ readonly chain: string; readonly key: string }> {
    const { cert, key } = this.config.certificates;
    return { chain: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
  }

  /** Of all its processes. */
  get lines(): LogLine[] {
    return this.generations.flatMap(({ process }) => process.lines);
  }

  async close(): Promise<void> {
    this.wake();
    for (const proxy of [this.policyDb, this.appMetricsDb]) proxy.resume();
    if (this.generations.length > 0) await this.terminate();
    await Promise.all([this.policyDb.close(), this.appMetricsDb.close()]);
  }
}

function through(text: string, proxy: TcpProxy): string {
  const url = new URL(text);
  url.hostname = nameOf('postgres');
  url.port = String(proxy.port);
  url.searchParams.set('sslmode', 'disable');
  return url.href;
}
