import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { DecisionChange, DecisionRow } from '../../src/decisions/decision-store.js';
import { DecisionWriter } from '../../src/decisions/decision-writer.js';
import { createDecisionStore } from '../../src/decisions/decision-store.js';
import { openDatabases, type Databases } from '../../src/database/database.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { silentLogger } from '../support/silent-logger.js';
import { systemClock } from '../../src/util/clock.js';
import { tableNames } from '../../src/database/table-names.js';
import { knowledgeOf } from '../explanation/examples.js';
import { databaseConfig, noRoots, openTestDatabases } from '../support/database-config.js';
import { eventually } from '../support/eventually.js';
import { ManualClock } from '../support/manual-clock.js';
import { createDatabase, type TestDatabase } from '../support/postgres.js';
import { recordingLogger, type Recording } from '../support/recording-logger.js';

const row: DecisionRow = { ...knowledgeOf({ leaseId: null }), appId: 'app' };
const change: DecisionChange = {
  appId: 'app',
  atMs: 1,
  from: null,
  to: 'fired',
  rule: null,
  value: null,
  text: '',
};

let target: TestDatabase;
let databases: Databases;
let log: Recording;
let metrics: Metrics;
let clock: ManualClock;
let writers: DecisionWriter[];
beforeEach(async () => {
  target = await createDatabase();
  databases = await openTestDatabases(target.url);
  log = recordingLogger();
  metrics = createMetrics();
  clock = new ManualClock();
  writers = [];
});
afterEach(async () => {
  await Promise.all([...writers.map((writer) => writer.stop()), clock.advance(500)]);
  await databases.close();
  await target.drop();
});

interface Scene {
  readonly waiting: DecisionRow[];
  /** Rows that only the last statement takes. */
  readonly late: DecisionRow[];
  readonly calls: string[];
  fail: Error | null;
}

/** A writer on a real database, whose store also notes what it is asked for. */
function start(changes: { mayCreate?: boolean } = {}): Scene & { writer: DecisionWriter } {
  const scene: Scene = { waiting: [], late: [], calls: [], fail: null };
  const real = createDecisionStore(databases.appMetricsDb, tableNames('act'));
  const noted = <T>(call: string, work: () => Promise<T>): Promise<T> => {
    scene.calls.push(call);
    return scene.fail ? Promise.reject(scene.fail) : work();
  };
  const writer = new DecisionWriter({
    clock,
    metrics,
    logger: log.logger,
    database: databases.appMetricsDb,
    mode: 'act',
    mayCreate: changes.mayCreate ?? true,
    store: {
      write: (rows, made) => noted(`write ${rows.length} ${made.length}`, () => real.write(rows, made)),
      remove: (appIds, gone) =>
        noted(`remove ${appIds.length} ${gone.length}`, () => real.remove(appIds, gone)),
      prune: (after) => noted('prune', () => real.prune(after)),
    },
    recorder: {
      takeRows: (limit, isLast = false) =>
        isLast ? [...scene.late, ...scene.waiting] : scene.waiting.splice(0, limit),
      giveBack: (rows) => void scene.waiting.unshift(...rows),
    },
  });
  writers.push(writer);
  writer.start();
  return Object.assign(scene, { writer });
}

/** Lets so many steps end, one after the other. */
async function steps(count: number, everyMs = 1_000): Promise<void> {
  for (let i = 0; i < count; i++) {
    await clock.timersPending(1);
    await clock.advance(everyMs);
  }
  await clock.timersPending(1);
}

const counted = async (metric: 'decisionRowsWritten' | 'decisionRowsLost') =>
  (await metrics[metric].get()).values[0]?.value ?? 0;

test('creates its tables, then makes one statement a second: removals, pruning, rows', async () => {
  const scene = start();
  scene.waiting.push(row);
  scene.writer.addChange(change);
  scene.writer.addChange({ ...change, appId: 'gone' });
  scene.writer.remove(['gone', 'ruleless'], (appId) => appId === 'gone');
  await steps(3);
  expect(scene.calls).toEqual(['remove 2 1', 'prune', 'write 1 1']);
  expect(log.lines).toEqual([
    {
      level: 'info',
      event: 'decisions.tables-created',
      data: { tables: ['eventgenerator_decision', 'eventgenerator_decision_change'] },
    },
  ]);
  const store = createDecisionStore(databases.appMetricsDb, tableNames('act'));
  expect(await store.read('app')).toMatchObject({ code: row.code });
  expect(await counted('decisionRowsWritten')).toBe(2);
  await steps(2);
  expect(scene.calls).toHaveLength(3);
});

test('prunes page by page, and begins again minutes after the last one', async () => {
  const scene = start();
  const prunes = () => scene.calls.filter((call) => call === 'prune').length;
  for (let i = 0; i < 101; i++) scene.writer.addChange({ ...change, appId: `app-${i}` });
  // The table is still empty at the first step, which is the end of a walk.
  await steps(2);
  expect(scene.calls).toEqual(['prune', 'write 0 101']);
  await steps(29, 10_000);
  expect(prunes()).toBe(1);
  await steps(1, 10_000);
  expect(prunes()).toBe(2);
  await steps(1);
  expect(prunes()).toBe(2);
  await steps(1, 10_000);
  expect(prunes()).toBe(3);
  await steps(2, 10_000);
  expect(prunes()).toBe(3);
});

test.each([
  ['tells once of a database that rejects it', new TypeError('rejected'), 1],
  ['leaves it to others to tell that the database is away', new Error('away'), 0],
])('keeps what could not be written, up to a bound, and %s', async (_, error, told) => {
  const scene = start();
  await steps(2);
  scene.fail = error;
  scene.waiting.push(row);
  for (let i = 0; i < 10_001; i++) scene.writer.addChange({ ...change, atMs: i });
  await steps(1);
  await steps(1, 10_000);
  const errors = log.lines.filter(({ level }) => level === 'error');
  expect(errors.map(({ event }) => event)).toEqual(Array(told).fill('decisions.decisions-not-written'));
  expect([scene.waiting.length, await counted('decisionRowsLost')]).toEqual([1, 1]);
  scene.fail = null;
  await steps(1, 10_000);
  await steps(6);
  expect([scene.waiting.length, await counted('decisionRowsWritten')]).toEqual([0, 10_001]);
});

test('a batch that the database rejects for its data is given up', async () => {
  const scene = start();
  await steps(2);
  scene.waiting.push({ ...row, appId: 'x'.repeat(300) });
  await steps(1);
  expect([scene.waiting.length, await counted('decisionRowsLost')]).toEqual([0, 1]);
});

test('without the right to create tables everything else goes on, and the SQL is logged', async () => {
  const user = `limited_${Date.now()}`;
  await target.pool.query(`revoke create on schema public from public; create user ${user}`);
  const url = new URL(target.url);
  url.username = user;
  const limited = databaseConfig(url.href);
  const before = databases;
  databases = await openDatabases(limited, limited, {
    clock: systemClock,
    logger: silentLogger,
    trustedRoots: noRoots,
  });
  try {
    const scene = start();
    scene.waiting.push(row);
    await steps(1);
    const line = await log.until('decisions.tables-missing');
    expect([scene.calls, scene.waiting.length]).toEqual([[], 1]);
    await target.pool.query(String(line.data['sql']));
    await steps(1, 600_000);
    await steps(1);
    expect(scene.calls).toContain('write 1 0');
  } finally {
    await Promise.all([...writers.splice(0).map((writer) => writer.stop()), clock.advance(500)]);
    await databases.close();
    databases = before;
    await target.pool.query(`drop owned by ${user}; drop user ${user}`);
  }
});

test('static ownership uses the tables where somebody has made them, and says nothing where not', async () => {
  const scene = start({ mayCreate: false });
  scene.waiting.push(row);
  await steps(1);
  expect([scene.calls, log.lines]).toEqual([[], []]);
});

test('tables that vanish are made again', async () => {
  const scene = start();
  await steps(2);
  await target.pool.query('drop table eventgenerator_decision');
  scene.waiting.push(row);
  await steps(1);
  await steps(2, 10_000);
  const store = createDecisionStore(databases.appMetricsDb, tableNames('act'));
  await eventually('the row', async () => (await store.read('app')) !== null);
});

test('what waits at the stop is written', async () => {
  const scene = start();
  await steps(2);
  scene.waiting.push(row);
  // Its turn would come later.
  scene.late.push({ ...row, appId: 'late' });
  await scene.writer.stop();
  expect(scene.calls.at(-1)).toBe('write 2 0');
  await scene.writer.stop();
});
