import { describe, expect, test } from '@jest/globals';
import { parseDatabaseUrl } from '../../src/database/connection.js';
import { DatabaseConfigError } from '../../src/database/errors.js';

const noTls = { key: null, cert: null, ca: null };
const parse = (url: string, tls: Parameters<typeof parseDatabaseUrl>[1]['tls'] = noTls) =>
  parseDatabaseUrl('db.policy_db.url', { url, tls });
const problemOf = (url: string, tls = noTls): string => {
  try {
    parse(url, tls);
  } catch (error) {
    if (error instanceof DatabaseConfigError) return error.message;
    throw error;
  }
  throw new Error('was accepted');
};

test('reads a usual URL, with everything percent-encoded that must be', () => {
  expect(
    parse('postgres://eg:p%40ss%2Fw%23rd%25@db.internal:5524/autoscaler?application_name=blue'),
  ).toMatchObject({
    hosts: [{ host: 'db.internal', port: 5524 }],
    user: 'eg',
    password: 'p@ss/w#rd%',
    database: 'autoscaler',
    applicationName: 'blue',
    sslMode: 'prefer',
    warnings: [],
  });
});

test('parameters can name what the authority usually does', () => {
  expect(parse('postgresql:///?host=db&port=5433&user=u&password=a%2Bb+c&dbname=d')).toMatchObject({
    hosts: [{ host: 'db', port: 5433 }],
    user: 'u',
    password: 'a+b+c',
    database: 'd',
  });
});

test('a Unix socket and an IPv6 address are hosts too', () => {
  expect(parse('postgresql://eg@/autoscaler?host=/var/run/postgresql')).toMatchObject({
    hosts: [{ host: '/var/run/postgresql', port: undefined }],
    user: 'eg',
    database: 'autoscaler',
  });
  expect(parse('postgres://%2Fvar%2Frun/db').hosts).toEqual([{ host: '/var/run', port: undefined }]);
  expect(parse('postgres://[::1]:5432/db').hosts).toEqual([{ host: '::1', port: 5432 }]);
});

test('several hosts, with a port each or one for all, in the authority or in parameters', () => {
  const hosts = [
    { host: 'one', port: 5433 },
    { host: '::1', port: 5434 },
  ];
  expect(parse('postgres://u:p%40w@one:5433,[::1]:5434/db')).toMatchObject({ hosts, password: 'p@w' });
  expect(parse('postgres:///db?host=one,::1&port=5433,5434').hosts).toEqual(hosts);
  expect(parse('postgres://one:5433,two:/db?host=one,two&port=6').hosts).toEqual([
    { host: 'one', port: 6 },
    { host: 'two', port: 6 },
  ]);
  expect(parse('postgres://one,two:7/db').hosts).toEqual([
    { host: 'one', port: undefined },
    { host: 'two', port: 7 },
  ]);
  expect(parse('postgres://one,two/db?target_session_attrs=read-write').targetSessionAttrs).toBe(
    'read-write',
  );
  expect(problemOf('postgres://one,two/db?target_session_attrs=writable')).toMatch(
    /must be one of any, read-write, read-only, primary, standby, prefer-standby/,
  );
});

test('an empty sslmode is none: prefer', () => {
  expect(parse('postgres://h/db?sslmode=').sslMode).toBe('prefer');
});

test('what the URL leaves open is left to the driver', () => {
  expect(parse('postgres://')).toMatchObject({
    hosts: [{ host: undefined, port: undefined }],
    user: undefined,
  });
});

test('only PostgreSQL URLs are accepted', () => {
  expect(problemOf('mysql://u:geheim@h/db')).toBe(
    'db.policy_db.url: only postgres:// and postgresql:// URLs are supported, not mysql:',
  );
  expect(problemOf('u:geheim@tcp(h:3306)/db')).toMatch(/only postgres:\/\/ .* are supported/);
  expect(problemOf('')).toMatch(/only postgres/);
});

test('no message shows the password', () => {
  const urls = [
    'mysql://u:geheim@h/db',
    'postgres://u:geheim@h:port/db',
    'postgres://u:geheim%zz@h/db',
    'postgres://u:geheim@a:1,b:port/db',
    'postgres://u:geheim@h1,h2,h3/db?port=1,2',
    'postgres://u:geheim#x@h/db',
    'postgres://u:geheim@h/db?sslmode=verify',
    'postgres://u:geheim@h/db?port=x',
    'geheim',
  ];
  for (const url of urls) expect(problemOf(url)).not.toMatch(/geheim/);
});

describe('TLS parameters', () => {
  const binding = { key: { pem: 'KEY' }, cert: { pem: 'CERT' }, ca: { pem: 'CA' } };

  test('come before the material of a service binding, one by one', () => {
    expect(parse('postgres://h/db?sslmode=verify-ca&sslrootcert=/ca.pem', binding)).toMatchObject({
      sslMode: 'verify-ca',
      sslRootCert: { file: '/ca.pem' },
      sslCert: { pem: 'CERT' },
      sslKey: { pem: 'KEY' },
    });
  });

  test('may be PEM texts', () => {
    const pem = '-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n';
    expect(parse(`postgres://h/db?sslmode=require&sslrootcert=${encodeURIComponent(pem)}`)).toMatchObject({
      sslRootCert: { pem },
    });
  });

  test('certificate and key belong together', () => {
    expect(problemOf('postgres://h/db?sslcert=/c.pem')).toMatch(/needs both sslcert and sslkey/);
  });

  test('an unknown sslmode or a misspelt parameter is refused', () => {
    expect(problemOf('postgres://h/db?sslmode=no-verify')).toBe(
      'db.policy_db.url: sslmode=no-verify is not known, it must be one of disable, allow, prefer, require, verify-ca, verify-full',
    );
    expect(problemOf('postgres://h/db?sslrootcrt=/ca.pem')).toMatch(/sslrootcrt is not supported/);
  });

  test('sslrootcert=system means verify-full against public roots', () => {
    expect(parse('postgres://h/db?sslrootcert=system')).toMatchObject({
      sslMode: 'verify-full',
      sslRootCert: 'system',
    });
    expect(problemOf('postgres://h/db?sslrootcert=system&sslmode=require')).toMatch(
      /needs sslmode=verify-full/,
    );
  });

  test('a root certificate that prefer does not use is warned about', () => {
    expect(parse('postgres://h/db', binding).warnings).toEqual([
      'db.policy_db.url: a root certificate is given, but sslmode=prefer does not verify the server. Set sslmode=verify-full in the URL.',
    ]);
  });

  test('sslnegotiation=direct needs certain TLS', () => {
    expect(parse('postgres://h/db?sslmode=require&sslnegotiation=direct').directTls).toBe(true);
    expect(problemOf('postgres://h/db?sslnegotiation=direct')).toMatch(/needs sslmode=require or stronger/);
  });
});

test('settings of the session are passed on as other drivers do', () => {
  expect(
    parse('postgres://h/db?search_path=a%20b,public&options=-c%20geqo%3Doff&connect_timeout=3'),
  ).toMatchObject({ options: '-c geqo=off -c search_path=a\\ b,public', connectTimeoutMs: 3000 });
});

test('other parameters are named in a warning and do no harm', () => {
  expect(parse('postgres://h/db?pool_max_conns=7&keepalives=1').warnings).toEqual([
    "db.policy_db.url: the URL's parameter pool_max_conns is not supported and has no effect.",
  ]);
});
