import type { Database } from './database.js';

/** Whether nothing can be written there: a standby, or a primary that was set so. Rejects when it does not answer. */
export async function isReadOnly(database: Pick<Database, 'query'>, timeoutMs: number): Promise<boolean> {
  const { rows } = await database.query<{ read_only: boolean }>(
    `select current_setting('transaction_read_only') = 'on' as read_only`,
    [],
    { timeoutMs },
  );
  return rows[0]?.read_only === true;
}

/** For the user of a command that needs more than reading. */
export const readOnlyRemedy =
  'appmetrics_db is read-only, so that members cannot renew their leases there. If it is a standby, name the primary in db.appmetrics_db.url, or all hosts with target_session_attrs=read-write.\n';
