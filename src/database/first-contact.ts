import { sleep } from '../util/clock.js';
import type { Database } from './database.js';
import { isMisconfiguration } from './errors.js';
import type { ProcessContext } from '../observability/process-context.js';

/** Whether a database that has not answered yet ever will. */
export interface FirstContact {
  /**
   * While this is false nobody should count on the process: the database has refused, or said nothing in the first half
   * a minute.
   */
  isPromising(): boolean;
  /** Resolves when that is true for the first time. */
  readonly promising: Promise<void>;
  /** Resolves with the reason when the database has refused for so long that it is wrong, else never. */
  readonly refused: Promise<unknown>;
  /** Idempotent. */
  stop(): void;
}

const statementTimeoutMs = 5_000;
const retryMs = 2_000;
/** How long the database may reject the login from the start on: databases and users are sometimes created at the same time. */
const patienceMs = 30_000;

/**
 * Asks a database until it has answered once. One that is away may come back; one that rejects this configuration (user,
 * password, database, certificate) will not, and a process that waits for it would look healthy to a deployment.
 */
export function makeFirstContact(
  name: string,
  database: Pick<Database, 'query'>,
  { clock, logger }: Pick<ProcessContext, 'clock' | 'logger'>,
): FirstContact {
  const stopping = new AbortController();
  let state: 'unknown' | 'promising' | 'refused' = 'unknown';
  const startedMs = clock.monotonic();
  let sinceMs = startedMs;
  let tellPromising = () => {};
  let tellRefused: (reason: unknown) => void = () => {};

  function promises(): void {
    state = 'promising';
    tellPromising();
  }

  /** A database that is silent at first may reject the login later. */
  function isAway(): void {
    if (state === 'unknown' && clock.monotonic() - startedMs >= patienceMs) promises();
  }

  /** Returns whether that has lasted for too long. */
  function refuses(error: unknown): boolean {
    const nowMs = clock.monotonic();
    if (state !== 'refused') {
      sinceMs = state === 'unknown' ? startedMs : nowMs;
      logger.error('database-refuses', error, { database: name, endsInSecs: patienceMs / 1000 });
    }
    state = 'refused';
    return nowMs - sinceMs >= patienceMs;
  }

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      try {
        await database.query('select 1', [], { timeoutMs: statementTimeoutMs });
        return promises();
      } catch (error) {
        if (stopping.signal.aborted) return;
        if (!isMisconfiguration(error)) isAway();
        else if (refuses(error)) return tellRefused(error);
      }
      await sleep(clock, retryMs, stopping.signal);
    }
  }

  const contact: FirstContact = {
    isPromising: () => state === 'promising',
    promising: new Promise((resolve) => (tellPromising = resolve)),
    refused: new Promise((resolve) => (tellRefused = resolve)),
    stop: () => stopping.abort(),
  };
  void run();
  return contact;
}
