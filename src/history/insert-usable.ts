import { databaseFailureKind } from '../database/errors.js';
import type { AppMetric } from './app-metric.js';

interface InsertSteps {
  insert(rows: readonly AppMetric[]): Promise<void>;
  onInserted(rows: number): void;
  /** The database rejects this row for its values. */
  onRejected(row: AppMetric, reason: unknown): void;
  /** After each attempt. */
  onProgress(rowsLeft: number): void;
}

interface Inserted {
  /** In order; empty unless an attempt failed for another reason than the rows' values. */
  readonly unwritten: readonly AppMetric[];
  /** The first of them that the failed attempt may have written. */
  readonly perhapsWritten: number;
  readonly error?: unknown;
}

/** Inserts rows. Halves what the database rejects for its values until the rows to blame are alone. Never rejects. */
export async function insertUsable(rows: readonly AppMetric[], steps: InsertSteps): Promise<Inserted> {
  const parts = [rows];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    try {
      await steps.insert(part);
      steps.onInserted(part.length);
    } catch (error) {
      if (databaseFailureKind(error) !== 'data') {
        return { unwritten: [part, ...parts.reverse()].flat(), perhapsWritten: part.length, error };
      }
      const [only] = part;
      if (only !== undefined && part.length === 1) {
        steps.onRejected(only, error);
      } else {
        const middle = Math.ceil(part.length / 2);
        parts.push(part.slice(middle), part.slice(0, middle));
      }
    }
    steps.onProgress(parts.reduce((sum, { length }) => sum + length, 0));
  }
  return { unwritten: [], perhapsWritten: 0 };
}
