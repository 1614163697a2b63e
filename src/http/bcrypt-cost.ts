import { hash } from 'bcryptjs';
import type { Clock } from '../util/clock.js';
import type { BasicAuthConfig } from '../config/config.js';

/** About 1.5 s a comparison on a usual processor; each step more doubles it. */
const maxCost = 14;
/** About 20 ms. */
const measuredCost = 8;

/** Rejects hashes that cannot be checked within the deadline, with the time that one check would take here. */
export async function rejectSlowHashes(
  config: BasicAuthConfig,
  clock: Pick<Clock, 'monotonic'>,
): Promise<void> {
  for (const half of ['username', 'password'] as const) {
    const credential = config[half];
    const cost = credential && 'bcrypt' in credential ? Number(credential.bcrypt.split('$')[2]) : 0;
    if (cost <= maxCost) continue;
    const beginMs = clock.monotonic();
    await hash('measured', measuredCost);
    const secs = ((clock.monotonic() - beginMs) * 2 ** (cost - measuredCost)) / 1000;
    throw new Error(
      `health.basic_auth.${half}_hash has the cost ${cost}: one check would take about ${secs.toFixed(1)} s on this ` +
        `machine. Use a hash with a cost of at most ${maxCost}, 10 is usual.`,
    );
  }
}
