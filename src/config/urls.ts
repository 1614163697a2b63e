import { readDatabaseUrl, sessionAttrs, sslModes } from './database-url.js';
import { describeRaw } from './raw.js';

const postgresForm = 'postgres://user:password@host:port/database?sslmode=…';

/**
 * What is wrong with a database URL, as the rest of a sentence that begins with its key. The URL itself is never
 * shown: it holds the password, and in a malformed one nobody knows where.
 */
export function databaseUrlError(url: string, tag: string): string | undefined {
  if (url === '') {
    return `is empty: allowed is a postgres:// URL; on Cloud Foundry bind a service with the tag '${tag}'`;
  }
  const scheme = /^([a-z][a-z0-9+.-]{0,20}):\/\//i.exec(url)?.[1]?.toLowerCase();
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    const found = scheme === undefined ? 'no scheme (as in a MySQL DSN)' : `the scheme '${scheme}'`;
    return `is no PostgreSQL URL: it has ${found}, allowed are postgres:// and postgresql://; no other database is supported`;
  }
  const parsed = readDatabaseUrl(url);
  if (!parsed) {
    return `is malformed: allowed is ${postgresForm}, with special characters in user and password percent-encoded; several hosts are separated by commas, each with its port or all with one`;
  }
  if (parsed.hosts.some(({ host }) => host === undefined)) return `names no host: allowed is ${postgresForm}`;
  for (const [name, words] of Object.entries({ sslmode: sslModes, target_session_attrs: sessionAttrs })) {
    const word = parsed.url.searchParams.get(name);
    if (word && !(words as readonly string[]).includes(word))
      return `has the ${name} ${describeRaw(word)}, allowed are ${words.join(', ')}`;
  }
  return undefined;
}

/** What is wrong with the URL of an HTTP service; the empty text is not its business. */
export function httpUrlError(url: string): string | undefined {
  if (url === '') return undefined;
  const parsed = parseUrl(url);
  if (url.includes('@')) {
    return 'must not contain credentials (it is not shown here): allowed is https://host:port';
  }
  if (!parsed || !['http:', 'https:'].includes(parsed.protocol) || parsed.hostname === '') {
    return `is no URL of an HTTP service: it is ${describeRaw(url)}, allowed is https://host:port`;
  }
  if (parsed.search !== '' || parsed.hash !== '') {
    return `must have no query and no fragment: it is ${describeRaw(url)}, allowed is https://host:port`;
  }
  return undefined;
}

export function requiredHttpUrlError(url: string): string | undefined {
  return url === '' ? 'is empty: allowed is https://host:port' : httpUrlError(url);
}

/** For a service that is sent a token. */
export function httpsUrlError(url: string): string | undefined {
  const problem = requiredHttpUrlError(url);
  if (problem !== undefined || new URL(url).protocol === 'https:') return problem;
  return `is ${describeRaw(url)}: a token is sent there, allowed is https://host:port`;
}

/** What is wrong with the address of a gRPC service. */
export function addressError(address: string): string | undefined {
  const portText = /^(?:\[[\da-f:.]+\]|[\w.-]+):(\d{1,5})$/i.exec(address)?.[1];
  const port = Number(portText ?? 0);
  if (port >= 1 && port <= 65535) return undefined;
  return `is no host:port: it is ${describeRaw(address)}; allowed is host:port, log-cache's gRPC address, or with metricCollector.uaa.url an https:// URL`;
}

/** Callers append paths that begin with a slash. */
export function withoutTrailingSlash(url: string): string {
  return url.replace(/\/+$/, '');
}

function parseUrl(url: string): URL | undefined {
  try {
    return new URL(url);
  } catch {
    return undefined;
  }
}
