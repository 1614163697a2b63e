import type { Database } from '../database/database.js';
import type { TableNames } from '../database/table-names.js';
import { Recording, withoutRepetitions } from './recording.js';

export interface RecordingQuery {
  readonly appId: string;
  readonly metricTypes: readonly string[];
  /** ns since the epoch, both inclusive. */
  readonly sinceNs: bigint;
  readonly untilNs: bigint;
}

/** Reads what was recorded of one app. Rejects when it cannot be read completely. */
export type ReadRecordings = (query: RecordingQuery) => Promise<Recording[]>;

const timeoutMs = 30_000;
/** Points of one metric type: one every ten seconds for two weeks. They take 2 MB. */
const maxPoints = 125_000;

/** Reads a value as `storedValue` does; null is *no data*. The usual case comes first, because it is cheap. */
const int64 = `
case when value ~ '^[+-]?[0-9]{1,18}$' then value::bigint
  when value ~ '^[+-]?[0-9]{19,40}$' and value::numeric between ${-(2n ** 63n)} and ${2n ** 63n - 1n} then value::numeric::bigint
end`;

/**
 * A row for each metric type, its points packed as a Recording has them: to take rows apart costs several times what a
 * replay does. Each metric type is looked up in the index, and comes in the order of the index.
 */
const selectRecordings = (table: string) => `
select wanted.place::int, packed.unit, packed.points
from unnest($2::text[]) with ordinality as wanted (metric_type, place)
cross join lateral (
  select max(unit) filter (where value is not null) as unit,
    string_agg(int8send(case when value is null then ~timestamp else timestamp end) || int8send(coalesce(value, 0)), '') as points
  from (
    select unit, timestamp, ${int64} as value from ${table}
    where app_id = $1 and metric_type = wanted.metric_type and timestamp between greatest($3::bigint, 0) and $4
    order by timestamp limit ${maxPoints + 1}
  ) as recorded
) as packed`;

type Row = { place: number; unit: string | null; points: Buffer | null };

export function recordingsReader(
  database: Pick<Database, 'query'>,
  { appMetric: table }: Pick<TableNames, 'appMetric'>,
): ReadRecordings {
  const sql = selectRecordings(table);
  return async ({ appId, metricTypes, sinceNs, untilNs }) => {
    const { rows } = await database.query<Row>(sql, [appId, metricTypes, sinceNs, untilNs], { timeoutMs });
    const found = new Map(rows.map((row) => [row.place, row]));
    return metricTypes.map((metricType, index) => {
      const { unit, points } = found.get(index + 1) ?? { unit: null, points: null };
      const cells = points ? cellsOf(points) : new BigInt64Array();
      const recording = new Recording(metricType, unit ?? '', withoutRepetitions(cells));
      if (recording.size > maxPoints) {
        throw new Error(
          `${appId} has more than ${maxPoints} app metrics of ${metricType} in this time: ask for less`,
        );
      }
      return recording;
    });
  };
}

/** Changes big-endian cells into little-endian ones, which is what machines have wherever Node.js runs. */
function cellsOf(packed: Buffer): BigInt64Array {
  const aligned = new Uint8Array(packed.length);
  aligned.set(packed);
  Buffer.from(aligned.buffer).swap64();
  return new BigInt64Array(aligned.buffer);
}
