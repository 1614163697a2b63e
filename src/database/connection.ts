import type { DatabaseConfig, PemSource } from '../config/config.js';
import {
  readDatabaseUrl,
  sessionAttrs,
  sslModes,
  type DatabaseHost,
  type SessionAttrs,
  type SslMode,
} from '../config/database-url.js';
import { DatabaseConfigError } from './errors.js';

/** What a database URL says, defaults filled in. Holds the password: never log it. */
export interface ConnectionSettings {
  /** At least one, in the order in which they are tried; undefined leaves it to PGHOST, then localhost. */
  readonly hosts: readonly DatabaseHost[];
  readonly targetSessionAttrs: SessionAttrs;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** undefined: as the user is called. */
  readonly database: string | undefined;
  readonly sslMode: SslMode;
  readonly sslCert: PemSource | null;
  readonly sslKey: PemSource | null;
  /** `system`: the roots that the process trusts anyway. */
  readonly sslRootCert: PemSource | 'system' | null;
  /** Passphrase of the key. */
  readonly sslPassword: string | undefined;
  readonly sslMinVersion: TlsVersion | undefined;
  readonly sslMaxVersion: TlsVersion | undefined;
  readonly directTls: boolean;
  readonly channelBinding: boolean;
  readonly applicationName: string;
  /** Settings of the session in the form of libpq's `options`, e.g. `-c search_path=autoscaler`. */
  readonly options: string | undefined;
  /** Milliseconds; undefined where the URL has no connect_timeout. */
  readonly connectTimeoutMs: number | undefined;
  /** Complete sentences for the operator. */
  readonly warnings: readonly string[];
}

const tlsVersions = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3'] as const;
type TlsVersion = (typeof tlsVersions)[number];

/** Parameters that other drivers send to the server as settings of the session, as pgx does. */
const sessionSettings = [
  'search_path',
  'statement_timeout',
  'lock_timeout',
  'idle_in_transaction_session_timeout',
  'timezone',
];
/** Without effect here: the driver's own way is as good. */
const ignoredSilently = new Set(['sslsni', 'sslcompression', 'client_encoding', 'keepalives']);

/**
 * Reads a PostgreSQL URL as libpq does. Parameters of the URL come before the material from a service binding.
 * `key` names the configuration key in errors.
 */
export function parseDatabaseUrl(
  key: string,
  config: Pick<DatabaseConfig, 'url' | 'tls'>,
): ConnectionSettings {
  const fail = (problem: string) => new DatabaseConfigError(`${key}: ${problem}`);
  const scheme = /^([a-z][a-z0-9+.-]*):/i.exec(config.url)?.[1];
  if (!/^postgres(ql)?:\/\//.test(config.url)) {
    throw fail(
      `only postgres:// and postgresql:// URLs are supported${scheme ? `, not ${scheme}:` : '; this is none'}`,
    );
  }
  const read = readDatabaseUrl(config.url);
  if (!read) {
    throw fail(
      'the URL cannot be read; in user name and password, characters other than letters and digits must be percent-encoded, and several hosts need one port for all or one each',
    );
  }
  const { url, hosts } = read;
  const parameters = new UrlParameters(url, fail);
  const targetSessionAttrs = parameters.oneOf('target_session_attrs', sessionAttrs) ?? 'any';
  const warnings: string[] = [];
  // Policies can be read from any server.
  if (hosts.length > 1 && targetSessionAttrs === 'any' && key.includes('appmetrics_db')) {
    warnings.push(
      'the URL names several hosts and the first that answers is taken, though it may be a standby. Set target_session_attrs=read-write in the URL.',
    );
  }
  const tls = tlsSettings(parameters, config.tls, fail, warnings);
  const connectTimeoutSecs = parameters.integer('connect_timeout');
  const settings = {
    hosts,
    targetSessionAttrs,
    user: parameters.take('user') ?? (decodeURIComponent(url.username) || undefined),
    password: parameters.take('password') ?? (decodeURIComponent(url.password) || undefined),
    database: parameters.take('dbname') ?? (decodeURIComponent(url.pathname.slice(1)) || undefined),
    ...tls,
    applicationName:
      parameters.take('application_name') ?? parameters.take('fallback_application_name') ?? 'eventgenerator',
    options: sessionOptions(parameters),
    connectTimeoutMs: connectTimeoutSecs === undefined ? undefined : connectTimeoutSecs * 1000 || undefined,
  };
  for (const name of parameters.left()) {
    // A misspelt or unsupported TLS setting would silently weaken what the operator asked for.
    if (name.startsWith('ssl')) throw fail(`the parameter ${name} is not supported`);
    warnings.push(`the URL's parameter ${name} is not supported and has no effect.`);
  }
  return { ...settings, warnings: warnings.map((warning) => `${key}: ${warning}`) };
}

type Fail = (problem: string) => DatabaseConfigError;

/** The parameters of a URL, each of which is taken once. Those that are empty count as missing. */
class UrlParameters {
  readonly #parameters: Map<string, string>;

  constructor(
    url: URL,
    private readonly fail: Fail,
  ) {
    // In a database URL "+" is a plus, not a blank.
    this.#parameters = new Map(new URLSearchParams(url.search.replaceAll('+', '%2B')));
    for (const known of ['host', 'port']) this.#parameters.delete(known);
  }

  take(name: string): string | undefined {
    const value = this.#parameters.get(name);
    this.#parameters.delete(name);
    return value === '' ? undefined : value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T | undefined {
    const value = this.take(name);
    const known = allowed.find((candidate) => candidate === value);
    if (value !== undefined && known === undefined) {
      throw this.fail(`${name}=${value} is not known, it must be one of ${allowed.join(', ')}`);
    }
    return known;
  }

  integer(name: string): number | undefined {
    const text = this.take(name);
    if (text === undefined) return undefined;
    if (!/^\d{1,9}$/.test(text)) throw this.fail(`${name}=${text} is not an integer`);
    return Number(text);
  }

  /** The names of those that were not taken, and have an effect elsewhere. */
  left(): string[] {
    return [...this.#parameters.keys()].filter((name) => !ignoredSilently.has(name));
  }
}

function tlsSettings(
  parameters: UrlParameters,
  bound: DatabaseConfig['tls'],
  fail: Fail,
  warnings: string[],
) {
  const sslRootCert = pemOrSystem(parameters.take('sslrootcert')) ?? bound.ca;
  const sslCert = pem(parameters.take('sslcert')) ?? bound.cert;
  const sslKey = pem(parameters.take('sslkey')) ?? bound.key;
  if ((sslCert === null) !== (sslKey === null)) {
    throw fail('a client certificate needs both sslcert and sslkey, only one of them is given');
  }
  const sslMode =
    parameters.oneOf('sslmode', sslModes) ?? (sslRootCert === 'system' ? 'verify-full' : 'prefer');
  if (sslRootCert === 'system' && sslMode !== 'verify-full') {
    throw fail(`sslrootcert=system needs sslmode=verify-full, not ${sslMode}`);
  }
  if (sslRootCert !== null && (sslMode === 'allow' || sslMode === 'prefer')) {
    warnings.push(
      `a root certificate is given, but sslmode=${sslMode} does not verify the server. Set sslmode=verify-full in the URL.`,
    );
  }
  const directTls = parameters.oneOf('sslnegotiation', ['postgres', 'direct']) === 'direct';
  if (directTls && sslModes.indexOf(sslMode) < sslModes.indexOf('require')) {
    throw fail(`sslnegotiation=direct needs sslmode=require or stronger, not ${sslMode}`);
  }
  const channelBinding = parameters.oneOf('channel_binding', ['disable', 'prefer', 'require']) ?? 'disable';
  return {
    sslMode,
    sslCert,
    sslKey,
    sslRootCert,
    sslPassword: parameters.take('sslpassword'),
    sslMinVersion: parameters.oneOf('ssl_min_protocol_version', tlsVersions),
    sslMaxVersion: parameters.oneOf('ssl_max_protocol_version', tlsVersions),
    directTls,
    channelBinding: channelBinding !== 'disable',
  };
}

function pem(value: string | undefined): PemSource | null {
  if (value === undefined) return null;
  return value.includes('-----BEGIN') ? { pem: value } : { file: value };
}

function pemOrSystem(value: string | undefined): PemSource | 'system' | null {
  return value === 'system' ? 'system' : pem(value);
}

function sessionOptions(parameters: UrlParameters): string | undefined {
  const options = [parameters.take('options')];
  for (const name of sessionSettings) {
    const value = parameters.take(name);
    // Blanks and backslashes are escaped by a backslash in libpq's `options`.
    if (value !== undefined) options.push(`-c ${name}=${value.replace(/[\\\s]/g, '\\$&')}`);
  }
  return options.filter((option) => option !== undefined).join(' ') || undefined;
}
