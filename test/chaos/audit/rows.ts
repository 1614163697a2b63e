import { storedRows, trueRow, type StoredRow, type Windows } from '../../pipeline/audit.js';
import type { Stage } from '../stage.js';
import { isExcused } from './excuses.js';
import { finding, measured, timeOf, type Finding } from './finding.js';
import { mayHaveTwoOwners, membershipChanges } from './owners.js';

/** A stored app metric as the rest of the audit needs it. */
export interface Point {
  readonly atMs: number;
  /** Undefined: *no data*. */
  readonly value: bigint | undefined;
  /** When it was written, as far as that is known. */
  readonly writtenMs?: number | undefined;
}

/** Stored app metrics by app and metric type, oldest first. */
export class Histories {
  readonly #points = new Map<string, Point[]>();

  constructor(
    rows: readonly (Pick<StoredRow, 'appId' | 'metricType' | 'timestampNs' | 'value'> &
      Pick<Point, 'writtenMs'>)[],
  ) {
    for (const { appId, metricType, timestampNs, value, writtenMs } of rows) {
      const key = `${appId} ${metricType}`;
      const points = this.#points.get(key) ?? [];
      points.push({
        atMs: Number(timestampNs / 1_000n) / 1_000,
        value: value === '' ? undefined : BigInt(value),
        writtenMs,
      });
      this.#points.set(key, points);
    }
  }

  /** Those in [fromMs, toMs]. */
  within(app: string, metricType: string, fromMs: number, toMs: number): Point[] {
    const points = this.#points.get(`${app} ${metricType}`) ?? [];
    return points.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
  }
}

/** Holds every stored row against what was really so. */
export async function auditRows(
  stage: Stage,
  windows: Windows,
): Promise<{ findings: Finding[]; rows: (StoredRow & Pick<Point, 'writtenMs'>)[] }> {
  const rows = await storedRows(stage.appMetricsDb);
  const wrong: string[] = [];
  const withoutReason: string[] = [];
  for (const [i, row] of rows.entries()) {
    if (i % 2_000 === 1_999) await new Promise((resolve) => setImmediate(resolve));
    const truth = trueRow(row, stage.platform, windows);
    if (row.value === truth.value && row.unit === truth.unit) continue;
    const atMs = Number(row.timestampNs / 1_000_000n);
    if (isExcused(row, stage, windows)) continue;
    const told = `${timeOf(atMs)} ${row.appId} ${row.metricType}: stored "${row.value}${row.unit}", true "${truth.value}${truth.unit}"`;
    (row.value === '' ? withoutReason : wrong).push(told);
  }
  const distinct = new Set(rows.map(keyOf)).size;
  const writtenMs = await timesOfWriting(stage);
  return {
    rows: rows.map((row) => ({ ...row, writtenMs: writtenMs.get(keyOf(row)) })),
    findings: [
      finding('false values', wrong),
      finding('no data without a reason', withoutReason),
      finding('rows stored twice', repeated(rows, stage)),
      measured('rows lost', Math.max(0, promised(stage) - distinct), 0, [
        `${promised(stage)} collected and not reported as lost, ${distinct} stored`,
      ]),
    ],
  };
}

/**
 * Two members that collect one app in the same millisecond store a row each, and so does one whose clock went back. Otherwise
 * no row is stored twice.
 */
function repeated(rows: readonly StoredRow[], { members, diary }: Stage): string[] {
  const changesMs = membershipChanges(members);
  const seen = new Set<string>();
  const twice: string[] = [];
  for (const row of rows) {
    const { appId, metricType, timestampNs } = row;
    const key = keyOf(row);
    const atMs = Number(timestampNs / 1_000_000n);
    const isHarmless = mayHaveTwoOwners(atMs, changesMs) || diary.hasWrongTimes({ fromMs: atMs, toMs: atMs });
    if (seen.has(key) && !isHarmless) twice.push(`${timeOf(atMs)} ${appId} ${metricType}`);
    seen.add(key);
  }
  return twice;
}

/** App metrics that must be stored: all that were collected, but for those that were waiting when a process was killed. */
function promised({ members }: Stage): number {
  let rows = 0;
  for (const { counts, end } of members.flatMap(({ generations }) => generations)) {
    const waiting = end === 'killed' || end === 'crashed' ? counts.buffered : 0;
    rows += counts.collected - counts.lost - waiting;
  }
  return rows;
}

function keyOf({ appId, metricType, timestampNs }: StoredRow): string {
  return `${appId} ${metricType} ${timestampNs}`;
}

/** When each row was written, by its key. */
async function timesOfWriting({ appMetricsDb }: Stage): Promise<ReadonlyMap<string, number>> {
  const { rows } = await appMetricsDb.pool.query<{ key: string; written_ms: number }>(
    `select app_id || ' ' || metric_type || ' ' || timestamp as key,
       (extract(epoch from pg_xact_commit_timestamp(xmin)) * 1000)::float8 as written_ms
     from app_metric`,
  );
  return new Map(rows.map(({ key, written_ms: writtenMs }) => [key, writtenMs]));
}
