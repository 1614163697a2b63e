import type { Clock } from '../../src/util/clock.js';
import { waitForFault, type ActiveFault } from './faults.js';

/** A request that faults happen to, whatever the transport. */
export interface Sufferer {
  readonly clock: Pick<Clock, 'setTimer'>;
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
  breakConnection(): void;
  answerStatus(status: number, body: string, headers: Readonly<Record<string, string>>): void;
  /** Notes what is to happen to the answer that follows. */
  spoil(fault: ActiveFault): void;
}

/**
 * Lets faults happen that come before the answer. True if nothing remains to be answered. The kinds that depend on
 * what is asked for (`empty`, `unauthorized`, `nan`) are the caller's.
 */
export async function suffer(faults: readonly ActiveFault[], sufferer: Sufferer): Promise<boolean> {
  const { clock, gone } = sufferer;
  for (const active of faults) {
    const { fault, lifted } = active;
    switch (fault.kind) {
      case 'delay':
        await waitForFault(clock, fault.ms, [lifted, gone]);
        break;
      case 'hang':
        await waitForFault(clock, null, [lifted, gone]);
        break;
      case 'reset':
        sufferer.breakConnection();
        return true;
      case 'status':
        sufferer.answerStatus(fault.status, fault.body ?? '', fault.headers ?? {});
        return true;
      case 'stall':
      case 'cut':
      case 'garbage':
      case 'compressed':
        sufferer.spoil(active);
        break;
      case 'empty':
      case 'unauthorized':
      case 'nan':
        break;
    }
    if (gone.aborted) return true;
  }
  return false;
}
