import { afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import dns from 'node:dns';
import { systemClock } from '../../src/util/clock.js';
import { openDatabase } from '../../src/database/database.js';
import { createGrpcLogCache } from '../../src/log-cache/grpc-log-cache.js';
import { createRestLogCache } from '../../src/log-cache/rest-log-cache.js';
import { silentLogger } from '../support/silent-logger.js';
import { createScalingEngineClient } from '../../src/scaling-engine/scaling-engine-client.js';
import { createTokenRequest } from '../../src/uaa/token-request.js';
import { createCertificateAuthority } from '../support/certificates.js';
import { databaseConfig } from '../support/database-config.js';
import type { LogCacheError } from '../../src/log-cache/log-cache.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { triggerFor } from '../evaluation/examples.js';

/** Asks once over a connection to the host; what was said when there was none. */
type Ask = (host: string) => Promise<string>;

const databaseOptions = { clock: systemClock, logger: silentLogger, trustedRoots: () => Promise.resolve([]) };
const closers: (() => unknown)[] = [];
const timeoutMs = 15_000;
const read = {
  sourceId: 'an-app',
  startNs: 1n,
  endNs: 2n,
  limit: 1,
  names: ['cpu'],
  authorization: null,
};
let ca: readonly string[];
let identity: { readonly key: string; readonly cert: string };

beforeAll(async () => {
  const authority = await createCertificateAuthority();
  ca = [authority.cert];
  identity = await authority.issue({ commonName: 'eventgenerator' });
});

const clients: Readonly<Record<string, Ask>> = {
  'log-cache over HTTPS'(host) {
    const options = { ca, skipSslValidation: false, readTimeoutMs: timeoutMs, queryTimeoutMs: timeoutMs };
    const client = createRestLogCache({ ...options, url: `https://${host}` });
    return client.read(read, () => 'answered').catch((error: LogCacheError) => error.message);
  },
  'log-cache over gRPC'(host) {
    const options = { ca, ...identity, readTimeoutMs: timeoutMs, queryTimeoutMs: timeoutMs };
    const client = createGrpcLogCache({ ...options, address: `${host}:8080` });
    return client.read(read, () => 'answered').catch((error: LogCacheError) => error.message);
  },
  UAA(host) {
    const grant = { type: 'client_credentials' } as const;
    const client = { clientId: 'id', clientSecret: 'secret', grant, skipSslValidation: false };
    const signal = new AbortController().signal;
    const options = { clock: systemClock, roots: fixedAuthorities(ca), signal };
    return createTokenRequest({ ...client, url: `https://${host}` }, options)().then(
      () => 'answered',
      (error: Error) => error.message,
    );
  },
  async 'the scaling engine'(host) {
    const options = { keyPair: null, roots: fixedAuthorities(ca), timeoutMs, clock: systemClock };
    const client = createScalingEngineClient({ ...options, url: `https://${host}` });
    closers.push(() => client.close());
    const result = await client.post(triggerFor('an-app'));
    return 'message' in result ? result.message : 'answered';
  },
  async 'a database'(host) {
    const config = databaseConfig(`postgres://user:secret@${host}/autoscaler?sslmode=disable`);
    const database = await openDatabase('policy_db', config, databaseOptions);
    closers.push(() => database.close());
    return database.query('select 1', [], { timeoutMs }).then(
      () => 'answered',
      (error: Error) => error.message,
    );
  },
};

/** Names that were asked for; none is ever answered. */
let lookups: string[];

beforeEach(() => {
  lookups = [];
  const hang = (host: string) => {
    lookups.push(host);
    return new Promise<never>(() => {});
  };
  const { prototype } = dns.promises.Resolver;
  jest.spyOn(prototype, 'resolve4').mockImplementation(hang);
  jest.spyOn(prototype, 'resolve6').mockImplementation(() => new Promise<never>(() => {}));
  // What clients would use by themselves: both forms, so that none of them gets past.
  jest.spyOn(dns.promises, 'lookup').mockImplementation(hang);
  jest.spyOn(dns, 'lookup').mockImplementation(hang);
});
afterEach(async () => {
  await Promise.all(closers.splice(0).map((close) => close()));
  jest.restoreAllMocks();
});

test.each(Object.keys(clients))(
  '%s looks a silent name up once for many connections, and says so',
  async (name) => {
    const host = `${name.replaceAll(' ', '-')}.test`.toLowerCase();
    const ask = clients[name] as Ask;
    const answers = await Promise.all([ask(host), ask(host), ask(host)]);
    for (const message of answers) {
      expect(message).toContain(`the name ${host} was not resolved: DNS did not answer within 2000 ms`);
    }
    expect(lookups).toEqual([host]);
  },
);

test('a statement that ends before its name is resolved says so', async () => {
  const config = databaseConfig('postgres://user:secret@database.test/autoscaler?sslmode=disable');
  const database = await openDatabase('policy_db', config, databaseOptions);
  closers.push(() => database.close());
  await expect(database.query('select 1', [], { timeoutMs: 50 })).rejects.toThrow(
    'policy_db did not answer within 50 ms: the name database.test is not resolved yet',
  );
});
