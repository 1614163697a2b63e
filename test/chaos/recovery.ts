import { pause } from './play.js';
import type { Stage } from './stage.js';

const lookEveryMs = 500;
const shown = 5;

/**
 * Seconds from a moment until each app metric that a policy asks for had a row newer than that moment; Infinity if
 * that took longer than withinMs. Apps whose policy changes meanwhile are left out.
 */
export async function secondsUntilSeen(
  stage: Stage,
  fromMs: number,
  withinMs: number,
  ended: AbortSignal,
): Promise<{ readonly secs: number; readonly missing: readonly string[] }> {
  for (;;) {
    const missing = await notSeenSince(stage, fromMs).catch(() => ['the database does not answer']);
    const nowMs = Date.now();
    if (missing.length === 0) return { secs: (nowMs - fromMs) / 1000, missing: [] };
    if (nowMs - fromMs > withinMs || ended.aborted) {
      return { secs: Infinity, missing: [`${missing.length} in all`, ...missing.slice(0, shown)] };
    }
    await pause(lookEveryMs, ended);
  }
}

async function notSeenSince({ appMetricsDb, policies, options }: Stage, fromMs: number): Promise<string[]> {
  const { rows } = await appMetricsDb.pool.query<{ app_id: string; metric_type: string }>(
    // A clock that was ahead has left rows with times to come.
    `select distinct app_id, metric_type from app_metric
     where timestamp between $1 and $2 and pg_xact_commit_timestamp(xmin) >= to_timestamp($3::double precision / 1000)`,
    [BigInt(fromMs) * 1_000_000n, BigInt(Date.now()) * 1_000_000n, fromMs],
  );
  const seen = new Set(rows.map(({ app_id: app, metric_type: metric }) => `${app} ${metric}`));
  // A policy has to be polled first, and a new one may come a cycle late.
  const sinceMs = Math.max(fromMs - 3 * options.intervalSecs * 1000, policies.insertedMs);
  const missing = new Set<string>();
  for (const guid of policies.book.guids) {
    for (const rule of policies.book.throughout(guid, sinceMs, Date.now()) ?? []) {
      const wanted = `${guid} ${rule.metric_type}`;
      if (!seen.has(wanted)) missing.add(wanted);
    }
  }
  return [...missing];
}
