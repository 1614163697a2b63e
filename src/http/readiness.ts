import type { Clock } from '../util/clock.js';
import { shared } from '../util/shared.js';

/** One component that this process needs to do its work. */
export interface ReadinessCheck {
  /** As in `policy_db`. */
  readonly name: string;
  /** As in `database`. */
  readonly type: string;
  /** Whether the component works; a rejection counts as no. */
  check(): Promise<boolean>;
}

type Status = 'UP' | 'DOWN';

interface ReadinessReport {
  readonly overall_status: Status;
  readonly checks: readonly { readonly name: string; readonly type: string; readonly status: Status }[];
}

export interface Readiness {
  /** Never rejects. */
  report(): Promise<ReadinessReport>;
}

/** The endpoint needs no credentials: without a cache anyone could load the databases. */
const cacheMs = 30_000;

/** A component that needs longer counts as down. */
const checkDeadlineMs = 5_000;

/** Runs all checks at once, and at most every 30 s. */
export function createReadiness(
  checks: readonly ReadinessCheck[],
  clock: Pick<Clock, 'monotonic' | 'setTimer'>,
): Readiness {
  /** Checks that have not ended. Those of a component that hangs must not pile up. */
  const hanging = new Set<ReadinessCheck>();

  async function run(): Promise<ReadinessReport> {
    const statuses = await Promise.all(checks.map(statusOf));
    return {
      overall_status: statuses.every((status) => status === 'UP') ? 'UP' : 'DOWN',
      checks: checks.map(({ name, type }, i) => ({ name, type, status: statuses[i] ?? 'DOWN' })),
    };
  }

  function statusOf(check: ReadinessCheck): Promise<Status> {
    if (hanging.has(check)) return Promise.resolve('DOWN');
    hanging.add(check);
    return new Promise((resolve) => {
      const timer = clock.setTimer(checkDeadlineMs, () => resolve('DOWN'));
      const end = (up: boolean) => {
        hanging.delete(check);
        timer.cancel();
        resolve(up ? 'UP' : 'DOWN');
      };
      Promise.resolve()
        .then(() => check.check())
        .then(end, () => end(false));
    });
  }

  return { report: shared(clock, run, cacheMs) };
}
