import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import { storedValue } from '../history/app-metric-store.js';
import { cellsPerPoint } from '../history/point-memory.js';
import { remembering } from '../util/remembering.js';
import { Recording } from './recording.js';

export interface RecordingQuery {
  readonly appId: string;
  readonly metricTypes: readonly string[];
  /** ns since the epoch, both inclusive. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

/** Reads what was recorded of one app, a recording for each metric type. Rejects when it cannot be read completely. */
export type ReadRecordings = (query: RecordingQuery) => Promise<Recording[]>;

const timeoutMs = 30_000;
/** Points of one metric type: one every ten seconds for two weeks. They take 2 MB. */
const maxPoints = 125_000;
const bytesPerTime = 8;

/**
 * A row for each metric type, its points as two columns: to take thousands of rows apart costs several times what a
 * replay does. Rows come as they lie in the table, so that each page of it is read once for all metric types. The reader
 * sorts them, which is seldom necessary. A line break within a value would split it in two, and so becomes a question mark.
 */
const selectRecordings = (table: string) => `
select metric_type, max(unit) filter (where value <> '') as unit,
  string_agg(int8send(timestamp), '') as times, string_agg(translate(value, E'\\n', '?'), E'\\n') as values
from (
  select metric_type, unit, timestamp, coalesce(value, '') as value from ${table}
  where app_id = $1 and metric_type = any($2) and timestamp between greatest($3::bigint, 0) and $4
  limit $5
) as recorded
group by metric_type`;

type Row = {
  metric_type: string;
  unit: string | null;
  /** The most significant byte of each first. */
  times: Buffer;
  /** One a line. */
  values: string;
};

export function recordingsReader(
  database: Pick<Database, 'query'>,
  { appMetric: table }: Pick<TableNames, 'appMetric'>,
): ReadRecordings {
  const sql = selectRecordings(table);
  return async ({ appId, metricTypes, sinceNs, untilNs }) => {
    const most = maxPoints * metricTypes.length;
    const params = [appId, metricTypes, sinceNs, untilNs, most + 1];
    const { rows } = await database.query<Row>(sql, params, { timeoutMs });
    if (rows.reduce((sum, { times }) => sum + times.length / bytesPerTime, 0) > most) {
      throw new Error(
        `${appId} has more than ${most} app metrics of ${metricTypes.join(', ')} in this time: ask for less`,
      );
    }
    const found = new Map(rows.map((row) => [row.metric_type, recordingOf(row)]));
    return metricTypes.map(
      (metricType) => found.get(metricType) ?? new Recording(metricType, '', new BigInt64Array()),
    );
  };
}

function recordingOf({ metric_type: metricType, unit, times, values }: Row): Recording {
  const timestamps = timestampsOf(times);
  const texts = values.split('\n');
  const valueOf = remembering(storedValue);
  const cells = new BigInt64Array(cellsPerPoint * timestamps.length);
  let cell = 0;
  let beforeNs: bigint | null = null;
  for (const place of inOrder(timestamps)) {
    const timestamp = timestamps[place] ?? 0n;
    // Of several points of one time the first counts, as where a history is read.
    if (timestamp === beforeNs) continue;
    beforeNs = timestamp;
    const value = valueOf(texts[place] ?? '');
    cells[cell++] = value === null ? ~timestamp : timestamp;
    cells[cell++] = value ?? 0n;
  }
  return new Recording(metricType, unit ?? '', cells.subarray(0, cell));
}

/** Turns big-endian timestamps into little-endian ones, as x86 and ARM machines have them. */
function timestampsOf(packed: Buffer): BigInt64Array {
  const aligned = new Uint8Array(packed);
  Buffer.from(aligned.buffer).swap64();
  return new BigInt64Array(aligned.buffer);
}

/**
 * The places of timestamps, none of which is negative, in the order of time. Rows lie in that order already, but where new
 * ones have taken the place of removed ones.
 */
function inOrder(timestamps: BigInt64Array): Uint32Array {
  const places = Uint32Array.from(timestamps.keys());
  // Halves of them: to compare bigints takes ten times as long.
  const halves = new Uint32Array(timestamps.buffer);
  const distance = (a: number, b: number) =>
    (halves[2 * a + 1] ?? 0) - (halves[2 * b + 1] ?? 0) || (halves[2 * a] ?? 0) - (halves[2 * b] ?? 0);
  const isSorted = places.every((place) => place === 0 || distance(place - 1, place) <= 0);
  return isSorted ? places : places.sort(distance);
}
