import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { X509Certificate } from 'node:crypto';
import { createCertificateAuthority } from './certificates.js';
import { createDatabase, type TestDatabase } from './postgres.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await createDatabase();
});
afterAll(() => database.drop());

test('a test database answers', async () => {
  const { rows } = await database.pool.query<{ one: number }>('select 1 as one');
  expect(rows).toEqual([{ one: 1 }]);
});

test('an instance identity certificate has its organizational units in one multi-valued RDN', async () => {
  const root = await createCertificateAuthority();
  const intermediate = await root.intermediate('instance identity');
  const leaf = await intermediate.issue({
    commonName: 'guid',
    organizationalUnits: ['organization:o', 'space:s', 'app:a'],
  });
  const certificate = new X509Certificate(leaf.cert);
  expect([certificate.toLegacyObject().subject['OU']].flat().sort()).toEqual([
    'app:a',
    'organization:o',
    'space:s',
  ]);
  expect(certificate.subject.split('\n')).toHaveLength(2);
  expect(certificate.verify(new X509Certificate(leaf.chain.slice(leaf.cert.length)).publicKey)).toBe(true);
});
