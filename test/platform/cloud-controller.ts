import { systemClock } from '../../src/util/clock.js';
import type { FaultSwitch } from './faults.js';
import { suffer } from './suffer.js';

/**
 * The auth proxy gives up after this. It is no time of the platform's: those who wait for the proxy measure their own
 * deadlines by the system's clock, in threads that nobody hurries.
 */
const patienceMs = 20_000;

/** The Cloud Controller as log-cache's auth proxy sees it: asked for the names of a query's apps, each time anew. */
export class CloudController {
  constructor(private readonly faults: Pick<FaultSwitch, 'meet'>) {}

  /** Resolves to whether it answered, at the latest when the proxy's patience or that of its client ends. */
  async answers(sourceIds: readonly string[], gone: AbortSignal): Promise<boolean> {
    const faults = this.faults.meet('cloudController', 'apps', sourceIds);
    if (faults.length === 0) return true;
    let answered = true;
    const fail = () => (answered = false);
    const givenUp = new AbortController();
    const patience = systemClock.setTimer(patienceMs, () => givenUp.abort());
    await suffer(faults, {
      clock: systemClock,
      gone: AbortSignal.any([gone, givenUp.signal]),
      breakConnection: fail,
      answerStatus: (status) => (answered = status === 200),
      spoil: fail,
    });
    patience.cancel();
    return answered && !givenUp.signal.aborted;
  }
}
