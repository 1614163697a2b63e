import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { PreparedApp } from '../prepared/apps.js';
import type {
  FromPlatform,
  PreparedPlatformCounts,
  PreparedPlatformOptions,
  PreparedPlatformReady,
  ToPlatform,
} from '../prepared/messages.js';

export interface PreparedPlatform extends PreparedPlatformReady {
  readonly pid: number;
  /** Gives these apps breaches to come, or another number of instances. */
  setSpecial(apps: readonly PreparedApp[]): void;
  counts(): Promise<PreparedPlatformCounts>;
  stop(): Promise<void>;
}

const entry = new URL('../prepared-platform.js', import.meta.url);

export async function startPreparedPlatform(options: PreparedPlatformOptions): Promise<PreparedPlatform> {
  const child = fork(entry, [JSON.stringify(options)], {
    // Structured cloning: JSON has no Infinity.
    serialization: 'advanced',
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    execArgv: [],
  });
  const exited = new Promise<never>((_resolve, reject) =>
    child.once('exit', (code) => reject(new Error(`the prepared platform ended with code ${code}`))),
  );
  exited.catch(() => {});
  const next = async <K extends FromPlatform['kind']>(kind: K) => {
    const [message] = (await Promise.race([once(child, 'message'), exited])) as [FromPlatform];
    if (message.kind !== kind) throw new Error(`the prepared platform said ${message.kind}, not ${kind}`);
    return message as Extract<FromPlatform, { kind: K }>;
  };
  const tell = (message: ToPlatform) => child.send(message);

  const ready = await next('ready');
  return {
    ...ready,
    pid: child.pid ?? 0,
    setSpecial: (apps) => void tell({ kind: 'special', apps }),
    counts: () => {
      const counts = next('counts');
      tell({ kind: 'counts' });
      return counts;
    },
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = once(child, 'exit');
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
