import { Container, type ContainerHost, type ContainerOptions } from './container.js';
import { hashText } from './deterministic.js';
import type { Load, LoadScript } from './load-script.js';

export interface CustomMetric {
  readonly name: string;
  readonly unit: string;
  /** Every instance reports once in this many seconds. */
  readonly intervalSecs: number;
  /** The app's total at a time in seconds since the platform started; every instance reports its even share. */
  readonly total: (secs: number) => number;
}

/** An app on the platform. Only guid and load must be given. */
export interface AppOptions {
  readonly guid: string;
  readonly load: LoadScript;
  readonly name?: string;
  readonly instances?: number;
  /** Limits of the app's policy, which the scaling engine keeps. */
  readonly minInstances?: number;
  readonly maxInstances?: number;
  /** How long the instances have run when the app comes to the platform, in seconds. */
  readonly runningForSecs?: number;
  readonly tickSecs?: number;
  readonly memoryQuotaMiB?: number;
  readonly diskQuotaMiB?: number;
  /** Memory of an instance without load. */
  readonly idleMemoryMiB?: number;
  readonly diskMiB?: number;
  /** What cpu_entitlement calls 100 %, in percent of one core. */
  readonly entitledCpuPercent?: number;
  /** Response time of an idle instance. */
  readonly serviceTimeMs?: number;
  /** Requests per second at which an instance is saturated and its response time twenty times the service time. */
  readonly capacityRps?: number;
  /** Deterministic scatter of cpu and memory, as a fraction of the value. */
  readonly noise?: number;
  readonly customMetrics?: readonly CustomMetric[];
  /** Of the app itself, beside gorouter's line for each request; they take room in log-cache. */
  readonly logLinesPerSecond?: number;
  /** An app that log-cache knows nothing of: it runs, but no envelope of it arrives. */
  readonly silent?: boolean;
  readonly state?: 'STARTED' | 'STOPPED';
  /** The label app-autoscaler.cloudfoundry.org/disable-autoscaling. */
  readonly autoscalingDisabled?: boolean;
}

/** What an app needs to know of the platform. */
export interface AppSurroundings {
  /** Time zero of the load scripts, µs since the epoch. */
  readonly originUs: number;
  readonly seed: number;
  /** Nothing is asked about times longer ago than this. */
  readonly retentionUs: number;
}

interface Since<T> {
  readonly fromUs: number;
  readonly value: T;
}

/**
 * One app: its containers, and the load that its web instances share. What has happened never changes: scaling and
 * a new load script take effect from their moment on, so that any moment can be computed when it is asked for
 * instead of being stored.
 */
export class SimulatedApp implements ContainerHost {
  readonly guid: string;
  readonly name: string;
  readonly seed: number;
  readonly tickUs: number;
  readonly settings: Readonly<Required<AppOptions>>;
  readonly #context: AppSurroundings;
  #containers: Container[] = [];
  #webCounts: Since<number>[] = [{ fromUs: -Infinity, value: 0 }];
  #loads: Since<LoadScript>[];
  #sequence = 0;
  state: 'STARTED' | 'STOPPED';
  autoscalingDisabled: boolean;
  silent: boolean;
  minInstances: number;
  maxInstances: number;

  constructor(options: AppOptions, context: AppSurroundings, nowUs: number) {
    const instances = options.instances ?? 1;
    this.settings = {
      name: options.guid,
      instances,
      minInstances: 1,
      maxInstances: Math.max(10, instances),
      runningForSecs: 600,
      tickSecs: 15,
      memoryQuotaMiB: 512,
      diskQuotaMiB: 1024,
      idleMemoryMiB: 96,
      diskMiB: 210,
      entitledCpuPercent: 25,
      serviceTimeMs: 20,
      capacityRps: 200,
      noise: 0.02,
      customMetrics: [],
      logLinesPerSecond: 0,
      silent: false,
      state: 'STARTED',
      autoscalingDisabled: false,
      ...options,
    };
    this.guid = options.guid;
    this.name = this.settings.name;
    this.seed = hashText(options.guid, context.seed);
    this.tickUs = Math.round(this.settings.tickSecs * 1e6);
    this.state = this.settings.state;
    this.autoscalingDisabled = this.settings.autoscalingDisabled;
    this.silent = this.settings.silent;
    this.minInstances = this.settings.minInstances;
    this.maxInstances = this.settings.maxInstances;
    this.#context = context;
    this.#loads = [{ fromUs: -Infinity, value: options.load }];
    this.scaleTo(instances, nowUs - this.settings.runningForSecs * 1e6);
  }

  /** Running and lately stopped containers of every process type. */
  get containers(): readonly Container[] {
    return this.#containers;
  }

  /** When the first of the containers known started, µs since the epoch. */
  get bornUs(): number {
    return this.#containers.reduce((firstUs, { startedUs }) => Math.min(firstUs, startedUs), Infinity);
  }

  /** Running web instances of all web processes, as Cloud Controller counts them. */
  get instances(): number {
    return this.#webCounts.at(-1)?.value ?? 0;
  }

  /** Stops the web instances with the highest indices, or starts missing ones. */
  scaleTo(instances: number, nowUs: number): void {
    const running = this.#containers.filter(
      (container) =>
        container.processType === 'web' && container.processNumber === 0 && container.aliveAt(nowUs),
    );
    for (const container of running) if (container.index >= instances) container.stoppedUs = nowUs;
    const taken = new Set(running.map((container) => container.index));
    for (let index = 0; index < instances; index++) {
      if (!taken.has(index)) this.#add({ processType: 'web', index, processNumber: 0, cpuPercent: 0 }, nowUs);
    }
    this.#recount(nowUs);
  }

  /** Starts a single container: a task, a worker, staging, or an instance of a rolling deployment's second web process. */
  startContainer(options: Partial<ContainerOptions>, nowUs: number): Container {
    const container = this.#add(
      { processType: 'task', index: 0, processNumber: 1, cpuPercent: 50, ...options },
      nowUs,
    );
    this.#recount(nowUs);
    return container;
  }

  stopContainer(container: Container, nowUs: number): void {
    container.stoppedUs = Math.min(container.stoppedUs, nowUs);
    this.#recount(nowUs);
  }

  changeLoad(script: LoadScript, nowUs: number): void {
    this.#loads = this.#within([...this.#loads, { fromUs: nowUs, value: script }], nowUs);
  }

  webCountAt(timeUs: number): number {
    return at(this.#webCounts, timeUs);
  }

  /** One web instance's share of the app's load. */
  shareAt(timeUs: number): Load {
    const total = at(this.#loads, timeUs)(this.secsAt(timeUs));
    const count = Math.max(1, this.webCountAt(timeUs));
    return {
      requestsPerSecond: total.requestsPerSecond / count,
      cpuPercent: total.cpuPercent / count,
      memoryMiB: total.memoryMiB / count,
    };
  }

  /** Seconds since the platform started. */
  secsAt(timeUs: number): number {
    return (timeUs - this.#context.originUs) / 1e6;
  }

  #add(options: ContainerOptions, nowUs: number): Container {
    const container = new Container(this, options, this.#sequence++, nowUs);
    this.#containers.push(container);
    return container;
  }

  #recount(nowUs: number): void {
    const count = this.#containers.filter((one) => one.processType === 'web' && one.aliveAt(nowUs)).length;
    this.#webCounts = this.#within([...this.#webCounts, { fromUs: nowUs, value: count }], nowUs);
    const horizonUs = nowUs - this.#context.retentionUs;
    this.#containers = this.#containers.filter((container) => container.stoppedUs > horizonUs);
  }

  /** Keeps what was in force at or after the horizon. */
  #within<T>(steps: Since<T>[], nowUs: number): Since<T>[] {
    const horizonUs = nowUs - this.#context.retentionUs;
    return steps.filter((_, i) => (steps[i + 1]?.fromUs ?? Infinity) > horizonUs);
  }
}

function at<T>(steps: readonly Since<T>[], timeUs: number): T {
  for (let i = steps.length - 1; i >= 0; i--) {
    const step = steps[i];
    if (step && step.fromUs <= timeUs) return step.value;
  }
  const first = steps[0];
  if (!first) throw new Error('an app has always had some load and some number of instances');
  return first.value;
}
