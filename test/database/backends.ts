import type { Database } from '../../src/database/database.js';

/** Backend ids of so many connections, each of them in use until all are. */
export async function backendsAtOnce(database: Database, count: number): Promise<readonly number[]> {
  let arrived = 0;
  let tellAll = () => {};
  const all = new Promise<void>((resolve) => (tellAll = resolve));
  const hold = () =>
    database.transaction(
      async (session) => {
        const { rows } = await session.query<{ pid: number }>('select pg_backend_pid() as pid');
        if (++arrived === count) tellAll();
        await all;
        return rows[0]?.pid ?? 0;
      },
      { timeoutMs: 30_000 },
    );
  return Promise.all(Array.from({ length: count }, hold));
}
