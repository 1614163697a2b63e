import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import type { Point } from '../explanation/point-series.js';
import { storedValue } from '../history/app-metric-store.js';
import type { Recording } from './tape.js';

export interface RecordingQuery {
  readonly appId: string;
  readonly metricTypes: readonly string[];
  /** ns since the epoch, both inclusive. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

/** Reads what was recorded of one app. Rejects when it cannot be read completely. */
export type ReadRecordings = (query: RecordingQuery) => Promise<Recording[]>;

const batchSize = 5_000;
const timeoutMs = 30_000;
/** Of one metric type: two weeks of a point every ten seconds, and 16 MB. */
const maxPoints = 125_000;

/** Each metric type is looked up in the index, and comes in the order of the index. */
const selectRecordings = (table: string) => `
select wanted.place::int, recorded.unit, recorded.timestamp, recorded.value
from unnest($2::text[]) with ordinality as wanted (metric_type, place)
cross join lateral (
  select unit, timestamp, value from ${table}
  where app_id = $1 and metric_type = wanted.metric_type and timestamp between $3 and $4
  order by timestamp limit ${maxPoints + 1}
) as recorded`;

type Row = readonly [place: number, unit: string, timestampNs: string, value: string | null];

export function recordingsReader(
  database: Pick<Database, 'stream'>,
  { appMetric: table }: Pick<TableNames, 'appMetric'>,
): ReadRecordings {
  const sql = selectRecordings(table);
  return async ({ appId, metricTypes, sinceNs, untilNs }) => {
    const recordings = metricTypes.map((metricType) => ({ metricType, unit: '', points: [] as Point[] }));
    const params = [appId, metricTypes, sinceNs, untilNs];
    for await (const rows of database.stream<Row>(sql, params, { batchSize, timeoutMs })) {
      for (const row of rows) addRow(recordings[row[0] - 1], row);
      const full = recordings.find(({ points }) => points.length > maxPoints);
      if (full) {
        throw new Error(
          `${appId} has more than ${maxPoints} app metrics of ${full.metricType} in this time: ask for less`,
        );
      }
    }
    return recordings;
  };
}

function addRow(
  recording: { unit: string; readonly points: Point[] } | undefined,
  [, unit, timestampText, text]: Row,
): void {
  if (!recording) return;
  const { points } = recording;
  const timestampNs = BigInt(timestampText);
  // Of several at the same time the first counts, as when histories are read.
  if (points.at(-1)?.timestampNs === timestampNs) return;
  const value = storedValue(text);
  if (value !== null) recording.unit = unit;
  points.push({ timestampNs, value });
}
