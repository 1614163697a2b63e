import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const intervalSecs = 40;

/** Writes the configuration of a command that uses nothing but this database. */
export async function writeCommandConfig(
  databaseUrl: string,
): Promise<{ readonly file: string; remove(): Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'eventgenerator-command-'));
  const file = join(folder, 'eventgenerator.yml');
  const database = `{ url: '${databaseUrl}' }`;
  await writeFile(
    file,
    `
db: { policy_db: ${database}, appmetrics_db: ${database} }
pool: { mode: elastic }
scalingEngine: { scaling_engine_url: 'https://127.0.0.1:1' }
metricCollector: { metric_collector_url: 'https://127.0.0.1:1', uaa: { url: 'https://127.0.0.1:1', client_id: x, client_secret: y, grant_type: client_credentials } }
aggregator: { aggregator_execute_interval: ${intervalSecs}s }
defaultStatWindowSecs: 120
defaultBreachDurationSecs: 120
`,
  );
  return { file, remove: () => rm(folder, { recursive: true, force: true }) };
}
