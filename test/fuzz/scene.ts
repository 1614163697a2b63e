import { X509Certificate } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import type { Releasers } from '../../src/util/releasers.js';
import {
  startEventgeneratorProcess,
  type EventgeneratorProcess,
} from '../bench/processes/eventgenerator-process.js';
import { parseScrape, type Scrape } from '../bench/processes/prometheus-text.js';
import { writeEventgeneratorConfig } from '../platform/eventgenerator-config.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform } from '../platform/platform.js';
import { createAutoscalerTables, insertPolicies } from '../support/autoscaler-tables.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { createDatabase, startPostgres } from '../support/postgres.js';
import type { Target } from './exchange.js';
import type { Credentials } from './requests.js';

export interface FuzzScene {
  readonly target: Target;
  readonly credentials: Credentials;
  readonly process: EventgeneratorProcess;
  readonly scrape: () => Promise<Scrape>;
  readonly openDescriptors: () => number;
}

const userName = 'fuzz';
const policy = {
  instance_min_count: 1,
  instance_max_count: 3,
  scaling_rules: [
    { metric_type: 'cpu', threshold: 90, operator: '>', adjustment: '+1', breach_duration_secs: 60 },
  ],
};

/** The program itself with a database, a platform and some hundred rows of history. `databaseServer`: else its own. */
export async function setScene(
  releasers: Releasers,
  databaseServer = process.env['DATABASE_URL'],
): Promise<FuzzScene> {
  let serverUrl = databaseServer;
  if (serverUrl === undefined) {
    const server = await startPostgres();
    releasers.add('PostgreSQL', () => server.stop());
    serverUrl = server.url;
  }
  const database = await createDatabase(serverUrl);
  releasers.add('database', () => database.drop());
  await createAutoscalerTables(database.pool);
  await insertPolicies(database.pool, [['app-1', policy]]);
  await database.pool.query(
    `insert into app_metric select 'app-1', 'cpu', '%', g * 1000000000::bigint, g::text from generate_series(1, 500) g`,
  );
  const platform = await startPlatform({ apps: [{ guid: 'app-1', load: constantLoad({ cpuPercent: 50 }) }] });
  releasers.add('platform', () => platform.stop());
  const folder = await mkdtemp(join(tmpdir(), 'fuzz-'));
  releasers.add('folder', () => rm(folder, { recursive: true, force: true }));
  const written = await writeEventgeneratorConfig(join(folder, 'eventgenerator.yml'), {
    platform,
    policyDbUrl: database.url,
  });
  const config = parse(await readFile(written.file, 'utf8')) as { health: object };
  const password = 'fuzz-password';
  Object.assign(config.health, { basic_auth: { username: userName, password } });
  await writeFile(written.file, stringify(config));

  const eventgenerator = startEventgeneratorProcess(written);
  releasers.add('eventgenerator', () => eventgenerator.stop());
  await eventgenerator.line('eventgenerator.started', 60_000);
  const authorization = `Basic ${Buffer.from(`${userName}:${password}`).toString('base64')}`;
  const [ca, cert, key] = await Promise.all(
    [written.certificates.ca, written.certificates.cert, written.certificates.key].map((file) =>
      readFile(file, 'utf8'),
    ),
  );
  return {
    target: { ports: written.ports, tls: { ca: ca ?? '', cert: cert ?? '', key: key ?? '' } },
    credentials: { authorization, xfcc: await instanceIdentity() },
    process: eventgenerator,
    async scrape() {
      const response = await fetch(`http://127.0.0.1:${written.ports.health}/metrics`, {
        headers: { authorization },
      });
      return parseScrape(await response.text());
    },
    openDescriptors: () => readdirSync(`/proc/${eventgenerator.pid}/fd`).length,
  };
}

async function instanceIdentity(): Promise<string> {
  const authority = await createCertificateAuthority('instance identity');
  const organizationalUnits = ['organization:platform-org', 'space:platform-space', 'app:caller'];
  const { cert } = await authority.issue({ commonName: 'caller', organizationalUnits });
  return new X509Certificate(cert).raw.toString('base64');
}
