import pg from 'pg';
import type { DatabaseHost, SessionAttrs } from '../config/database-url.js';
import { addressesOf } from '../dns/lookup.js';
import type { ConnectionSettings } from './connection.js';
import { isMisconfiguration } from './errors.js';
import { remoteAddressOf } from './socket.js';
import type { TlsAttempt } from './tls.js';

/** Where a server is looked for. */
interface Place {
  readonly host: DatabaseHost;
  /** One of several addresses of the host's name; null: whichever accepts a connection. */
  readonly address: string | null;
}

export interface Server extends Place {
  /** What the server must be. */
  readonly wanted: SessionAttrs;
}

/** One way to one server. */
export interface Target extends Server {
  readonly ssl: TlsAttempt;
}

/** Not what `target_session_attrs` wants. */
export class UnfitServerError extends Error {
  constructor(
    message: string,
    /** Of the server; undefined on a Unix socket. */
    readonly address: string | undefined,
  ) {
    super(message);
  }
}

/** How long the servers before the one that was taken are passed over: each attempt at one that is gone costs a timeout. */
const passedOverMs = 60_000;

/** The servers of a URL in the order in which a new connection tries them. */
export class Targets {
  readonly #taken = new Map<DatabaseHost, TlsAttempt>();
  #first: (Place & { readonly untilMs: number }) | undefined;

  constructor(private readonly settings: Pick<ConnectionSettings, 'hosts' | 'targetSessionAttrs'>) {}

  /** All hosts, one after the other. Like libpq's, `prefer-standby` is content with any server in a second pass. */
  *servers(nowMs: number): Generator<Server> {
    const { hosts, targetSessionAttrs: wanted } = this.settings;
    const first = this.#first !== undefined && nowMs < this.#first.untilMs ? [this.#first] : [];
    const others = hosts
      .filter((host) => !first.some((place) => place.host === host && place.address === null))
      .map((host) => ({ host, address: null }));
    const inOrder = [...first, ...others];
    for (const place of inOrder) yield { ...place, wanted: wanted === 'prefer-standby' ? 'standby' : wanted };
    if (wanted === 'prefer-standby') for (const place of inOrder) yield { ...place, wanted: 'any' };
  }

  /** The ways to connect to a host, best first, but first the one that worked while connections are open. */
  attempts(host: DatabaseHost, ways: readonly [TlsAttempt, TlsAttempt?], hasOpen: boolean): TlsAttempt[] {
    if (host.host?.startsWith('/')) return [false]; // a Unix socket, where PostgreSQL offers no TLS
    if (!hasOpen) this.#taken.delete(host);
    const all = ways.filter((way) => way !== undefined);
    const taken = this.#taken.get(host);
    return taken !== undefined && all.includes(taken) ? [taken, ...all.filter((way) => way !== taken)] : all;
  }

  took({ host, address, ssl }: Target, nowMs: number): void {
    this.#taken.set(host, ssl);
    const isFirst = host === this.settings.hosts[0] && address === null;
    const isKnown = this.#first?.host === host && this.#first.address === address;
    if (isFirst) this.#first = undefined;
    else if (!isKnown) this.#first = { host, address, untilMs: nowMs + passedOverMs };
  }
}

/** Whether the other hosts need not be asked: a rejected user or database is the same everywhere, as libpq and pgx see it. */
export function endsSearch(error: unknown): boolean {
  return error instanceof pg.DatabaseError && isMisconfiguration(error);
}

/** Rejects where the server is not what is wanted. */
export async function checkServer(client: pg.PoolClient, wanted: SessionAttrs): Promise<void> {
  if (wanted === 'any' || wanted === 'prefer-standby') return;
  const { rows } = await client.query<{ standby: boolean; read_only: boolean }>(
    `select pg_is_in_recovery() as standby, current_setting('transaction_read_only') = 'on' as read_only`,
  );
  const { standby = false, read_only: readOnly = false } = rows[0] ?? {};
  const fits = { 'read-write': !readOnly, 'read-only': readOnly, primary: !standby, standby };
  if (fits[wanted]) return;
  const found = standby ? 'a standby' : readOnly ? 'read-only' : 'a primary that can be written to';
  throw new UnfitServerError(
    `the server is ${found}, and target_session_attrs wants ${wanted}`,
    remoteAddressOf(client),
  );
}

/** The addresses of the host's name but one. As pgx does, all are tried: behind one name may be all servers of a cluster. */
export async function otherAddresses({ host }: DatabaseHost, known: string | undefined): Promise<string[]> {
  if (host === undefined || known === undefined) return [];
  const addresses = await addressesOf(host).catch(() => []);
  return addresses.map(({ address }) => address).filter((address) => address !== known);
}

/** For messages. */
export function textOf({ host, port }: DatabaseHost): string {
  return `${host ?? 'localhost'}:${port ?? 5432}`;
}
