import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Benchmark } from './benchmark.js';
import type { RingMemory } from './ring-memory.js';

const points = 300;
const program = fileURLToPath(new URL('./ring-memory.js', import.meta.url));

/** What the histories in memory cost, in a process that holds nothing else. */
export const memory: Benchmark = {
  name: 'memory',
  describe: 'bytes per app and metric type with a full ring of 300 app metrics',
  async run(context) {
    const apps = context.quick ? 1_000 : 30_000;
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--expose-gc',
      program,
      String(apps),
      String(points),
    ]);
    const { rings, heapBytes, residentBytes } = JSON.parse(stdout) as RingMemory;
    const target = { atMost: 16 * points + 400 };
    return {
      figures: [
        { name: 'rings', value: rings },
        { name: 'bytes_per_ring', value: heapBytes / rings, target },
        { name: 'resident_bytes_per_ring', value: residentBytes / rings, target },
      ],
    };
  },
};
