/** In order of strength. Meanings are libpq's; node-postgres reads the same words differently. */
export const sslModes = ['disable', 'allow', 'prefer', 'require', 'verify-ca', 'verify-full'] as const;
export type SslMode = (typeof sslModes)[number];

/** What a server must be to be taken, in libpq's words. */
export const sessionAttrs = [
  'any',
  'read-write',
  'read-only',
  'primary',
  'standby',
  'prefer-standby',
] as const;
export type SessionAttrs = (typeof sessionAttrs)[number];

/** Where a server of a database is; undefined is for the driver to fill in. */
export interface DatabaseHost {
  /** Host name, address or folder of a Unix socket. */
  readonly host: string | undefined;
  readonly port: number | undefined;
}

export interface DatabaseUrl {
  /** User, password, database and parameters; its host and port mean nothing. */
  readonly url: URL;
  /** At least one, in the order in which they are to be tried. */
  readonly hosts: readonly DatabaseHost[];
}

/**
 * Takes apart a PostgreSQL URL as libpq does: `postgres://user:password@one:5432,other:5433/database?…`, where hosts and
 * ports may also stand in the parameters `host` and `port`. One port counts for all hosts. null: it cannot be read.
 */
export function readDatabaseUrl(text: string): DatabaseUrl | null {
  const parts = /^(postgres(?:ql)?:\/\/(?:[^/?#]*@)?)([^/?#]*)([^#]*)$/i.exec(text);
  if (!parts) return null;
  const [, before = '', authority = '', after = ''] = parts;
  try {
    const url = new URL(`${before}unnamed${after}`);
    for (const part of [url.username, url.password, url.pathname]) decodeURIComponent(part);
    const hosts = pairs(
      authority,
      url.searchParams.get('host') || null,
      url.searchParams.get('port') || null,
    );
    return hosts && { url, hosts };
  } catch {
    // No cause: the error of URL carries the whole URL, with its password.
    return null;
  }
}

function pairs(authority: string, hostList: string | null, portList: string | null): DatabaseHost[] | null {
  const inAuthority = authority.split(',').map((pair) => /^(\[[^\]]*\]|[^:[\]]*)(?::(\d{0,5}))?$/.exec(pair));
  if (inAuthority.includes(null)) return null;
  const names = hostList?.split(',') ?? inAuthority.map((pair) => decodeURIComponent(pair?.[1] ?? ''));
  const ports = portList?.split(',') ?? inAuthority.map((pair) => pair?.[2] ?? '');
  if (ports.length !== 1 && ports.length !== names.length) return null;
  if (!ports.every(isPort)) return null;
  return names.map((name, i) => {
    const port = ports.length === 1 ? ports[0] : ports[i];
    return { host: name.replace(/^\[(.*)\]$/, '$1') || undefined, port: port ? Number(port) : undefined };
  });
}

function isPort(text: string): boolean {
  return text === '' || (/^\d{1,5}$/.test(text) && Number(text) > 0 && Number(text) < 65536);
}
