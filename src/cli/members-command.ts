import { systemClock } from '../util/clock.js';
import { databaseOptions } from '../database/database-options.js';
import type { ProcessContext } from '../observability/process-context.js';
import type { Config } from '../config/config.js';
import { openDatabase } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import { errorText } from '../util/errors.js';
import { isReadOnly, readOnlyRemedy } from '../database/read-only.js';
import { createLogger } from '../observability/pino-logger.js';
import { createMemberStore } from '../ownership/member-store.js';
import { memberJson, type MemberView } from '../ownership/members-view.js';
import { renderTable, type Column } from './table.js';

const observersTitle = 'Observers, which post nothing:\n';
const readOnlyTimeoutMs = 1_000;

/** `eventgenerator members`: shows who shares the apps. Resolves to the exit code. */
export async function membersCommand(
  config: Config,
  trust: ProcessContext['trust'],
  json: boolean,
): Promise<number> {
  const { mode } = config.evaluator;
  const names = tableNames(mode);
  const observer = mode === 'observe';
  const logger = createLogger({ level: 'error' });
  const options = databaseOptions({ clock: systemClock, logger, trust }, 'database');
  const database = await openDatabase('appmetrics_db', config.appMetricsDb, options);
  try {
    const members = await createMemberStore(database, names).readMembers();
    process.stdout.write(
      json
        ? `${JSON.stringify({ observer, members: members.map(memberJson) }, null, 2)}\n`
        : (observer ? observersTitle : '') + membersTable(members),
    );
    if (!json && (await isReadOnly(database, readOnlyTimeoutMs))) process.stdout.write(readOnlyRemedy);
    return 0;
  } catch (error) {
    process.stdout.write(
      `failed to read the members: ${errorText(error)}\n` +
        `They are in the table ${names.member} of appmetrics_db, which elastic members create; \`migrate\` does too.\n`,
    );
    return 1;
  } finally {
    await database.close();
  }
}

const columns: readonly Column<MemberView>[] = [
  { title: 'INDEX', cell: (member) => String(member.instanceIndex) },
  { title: 'INSTANCE', cell: (member) => member.instanceGuid },
  { title: 'LEASE', cell: (member) => member.leaseId },
  { title: 'SINCE', cell: (member) => member.since },
  { title: 'APPS', cell: (member) => String(member.appsOwned) },
  { title: 'EXPIRES IN', cell: (member) => `${member.expiresInSecs} s` },
];

/** The members as a table in plain text, one a line. */
export function membersTable(members: readonly MemberView[]): string {
  return members.length === 0 ? 'no members\n' : renderTable(columns, members);
}
