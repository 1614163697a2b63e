import { fraction, guidOf, mix } from './deterministic.js';
import type { Tags } from './envelope.js';

/** Web instances share the app's load. The others appear under the same source id and must not be counted as its instances. */
export type ProcessType = 'web' | 'worker' | 'task' | 'staging';

export interface ContainerOptions {
  readonly processType: ProcessType;
  /** The LRP index; tasks and staging report "0" whatever it is. */
  readonly index: number;
  /** Tells processes of one type apart: a rolling deployment runs two web processes side by side. */
  readonly processNumber: number;
  /** CPU of a container that is no web instance, in percent of one core. */
  readonly cpuPercent: number;
}

/** What containers of one app have in common. */
export interface ContainerHost {
  readonly guid: string;
  readonly name: string;
  readonly seed: number;
  readonly tickUs: number;
}

/** Microseconds between the bursts of two containers of an app, so that their envelopes never share a timestamp. */
const burstSpacingUs = 97;
const cells = 16;

/** One container: when it lives, when it reports, and how its envelopes are tagged. */
export class Container {
  readonly instanceId: string;
  readonly processType: ProcessType;
  readonly index: number;
  readonly processNumber: number;
  readonly cpuPercent: number;
  readonly seed: number;
  /** Offset of this container's metrics in the tick interval: its cell's ticker plus its place in the burst. */
  readonly phaseUs: number;
  /** Infinity while it runs. */
  stoppedUs = Infinity;

  #processInstanceId: string | undefined;

  constructor(
    readonly host: ContainerHost,
    options: ContainerOptions,
    sequence: number,
    /** Alive from here, inclusive. */
    readonly startedUs: number,
  ) {
    this.processType = options.processType;
    this.index = options.index;
    this.processNumber = options.processNumber;
    this.cpuPercent = options.cpuPercent;
    this.seed = mix(host.seed, sequence);
    this.instanceId =
      options.processType === 'web' || options.processType === 'worker' ? String(options.index) : '0';
    const cellPhaseUs = Math.floor(fraction(mix(this.#cell, 0xce11)) * host.tickUs);
    this.phaseUs = (cellPhaseUs + sequence * burstSpacingUs) % host.tickUs;
  }

  get #cell(): number {
    return mix(this.seed, 1) % cells;
  }

  /** The environment's CF_INSTANCE_GUID: the only thing that tells two containers with the same index apart. */
  get processInstanceId(): string {
    return (this.#processInstanceId ??= guidOf(mix(this.seed, 2)).slice(0, 28));
  }

  aliveAt(timeUs: number): boolean {
    return this.startedUs <= timeUs && timeUs < this.stoppedUs;
  }

  /** Number of the first tick at or after a time; tick n happens at phaseUs + n · tickUs. */
  tickAtOrAfter(timeUs: number): number {
    return Math.ceil((timeUs - this.phaseUs) / this.host.tickUs);
  }

  tickTimeUs(tick: number): number {
    return this.phaseUs + tick * this.host.tickUs;
  }

  /** The tick at which cpu and cpu_entitlement are still 0: they are differences between two ticks. */
  get firstTick(): number {
    return this.tickAtOrAfter(this.startedUs);
  }

  /** Tags of container metrics. Cloud Controller gives tasks and staging no process tags. */
  tags(): Tags {
    const { guid, name } = this.host;
    const cell = this.#cell;
    if (this.processType === 'task' || this.processType === 'staging') {
      return {
        app_id: guid,
        app_name: name,
        deployment: 'cf',
        index: cellIds[cell] ?? '',
        ip: `10.0.1.${cell + 10}`,
        job: 'diego-cell',
        ...organization,
        origin: 'rep',
        source_id: guid,
        ...space,
      };
    }
    return {
      app_id: guid,
      app_name: name,
      deployment: 'cf',
      index: cellIds[cell] ?? '',
      instance_id: this.instanceId,
      ip: `10.0.1.${cell + 10}`,
      job: 'diego-cell',
      ...organization,
      origin: 'rep',
      process_id: this.#processId,
      process_instance_id: this.processInstanceId,
      process_type: this.processType,
      source_id: guid,
      ...space,
    };
  }

  /** Tags of gorouter's `Client` events: nothing of the app but the instance's guid. */
  clientTags(): Tags {
    return {
      ...routerTags,
      content_length: '-1',
      peer_type: 'Client',
      routing_instance_id: this.processInstanceId,
      uri: `http://${this.host.name}.example.com/`,
    };
  }

  /** Tags of gorouter's `Server` events: those of the endpoint, so the real index stands in a tag only. */
  serverTags(): Tags {
    return {
      ...this.tags(),
      ...routerTags,
      component: 'route-emitter',
      content_length: '512',
      peer_type: 'Server',
      routing_instance_id: this.processInstanceId,
      uri: `http://${this.host.name}.example.com/`,
    };
  }

  get #processId(): string {
    return guidOf(mix(this.host.seed, 100 + this.processNumber));
  }
}

const cellIds = Array.from({ length: cells }, (_, cell) => guidOf(cell));
const organization = { organization_id: guidOf(1001), organization_name: 'acme' };
const space = { space_id: guidOf(1002), space_name: 'production' };

const routerTags = {
  __v1_type: 'HttpStartStop',
  deployment: 'cf',
  forwarded: '203.0.113.9',
  index: guidOf(1003),
  ip: '10.0.1.3',
  job: 'router',
  method: 'GET',
  origin: 'gorouter',
  remote_address: '10.0.0.1:51334',
  status_code: '200',
  user_agent: 'load-script',
};
