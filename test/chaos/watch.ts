import { readdirSync } from 'node:fs';
import { residentBytes } from '../bench/processes/usage.js';
import type { Generation } from './member.js';
import type { Stage } from './stage.js';

/** What a process held at a moment. */
export interface Sample {
  readonly atMs: number;
  readonly residentMiB: number;
  readonly descriptors: number;
  readonly timers: number;
  readonly resources: number;
}

const everyMs = 5_000;
const bytesPerMiB = 1_048_576;

/** Looks at all running processes until it is stopped. */
export class Watch {
  readonly #samples = new Map<Generation, Sample[]>();
  readonly #timer: NodeJS.Timeout;
  #last: Promise<unknown> = Promise.resolve();

  constructor(private readonly stage: Pick<Stage, 'members'>) {
    this.#timer = setInterval(() => (this.#last = this.look()), everyMs);
  }

  get samples(): ReadonlyMap<Generation, readonly Sample[]> {
    return this.#samples;
  }

  async look(): Promise<void> {
    await Promise.all(
      this.stage.members.map(async (member) => {
        await member.scrape();
        if (!member.isRunning || member.isFrozen) return;
        const { process, counts } = member.now;
        const sample = sampleOf(process.pid, counts);
        if (!sample) return;
        const samples = this.#samples.get(member.now) ?? [];
        samples.push(sample);
        this.#samples.set(member.now, samples);
      }),
    );
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#last;
  }
}

function sampleOf(pid: number, { timers, resources }: Generation['counts']): Sample | undefined {
  try {
    return {
      atMs: Date.now(),
      residentMiB: residentBytes(pid) / bytesPerMiB,
      descriptors: readdirSync(`/proc/${pid}/fd`).length,
      timers,
      resources,
    };
  } catch {
    return undefined; // it has just ended
  }
}
