import pg from 'pg';
import { withTrustRemedy } from '../util/connection-error.js';
import { errorCode, errorText } from '../util/errors.js';

/** A database URL or its TLS material that cannot be used. The message never contains the URL: it holds the password. */
export class DatabaseConfigError extends Error {
  override readonly name = 'DatabaseConfigError';
}

/** With the remedy where the server's certificate is not trusted. */
export function connectionErrorText(error: unknown): string {
  return withTrustRemedy(error, 'sslrootcert');
}

/** No connection could be made: refused, unresolved, TLS or login failed. The reason is in the message. */
export class DatabaseConnectionError extends Error {
  override readonly name = 'DatabaseConnectionError';
  /** `ECONNREFUSED`, an SQLSTATE as `28P01`, or absent. */
  readonly code: string | undefined;

  constructor(database: string, address: string, cause: unknown) {
    super(`${database}: no connection to ${address}: ${connectionErrorText(cause)}`, { cause });
    this.code = errorCode(cause) || undefined;
  }
}

/** The database did not answer in time. What it was doing may or may not have been done. */
export class DatabaseTimeoutError extends Error {
  override readonly name = 'DatabaseTimeoutError';
  readonly code = 'ETIMEDOUT';
}

/**
 * The cause of a failure, which decides what may be done about it.
 * - `connection`: the database is away, overloaded, changing over or refuses the login: the same statement may work later
 * - `data`: a value in the statement's parameters: it never will, but the statement's other rows may
 * - `statement`: a missing table or right, wrong SQL: needs an operator; nothing is wrong with the values
 */
export type DatabaseFailureKind = 'connection' | 'data' | 'statement';

/** SQLSTATE classes and codes, see PostgreSQL's appendix "Error Codes". */
const dataClasses = new Set(['22', '23']);
const connectionClasses = new Set(['08', '28', '3D', '40', '53', '57', '58']);
export const noSuchTable = '42P01';
/** Nothing can be written, for example after a fail-over. */
export const readOnlyState = '25006';
/** Lock and idle timeouts are the others. */
const connectionStates = new Set([readOnlyState, '25P03', '25P04', '55P03']);

export function databaseFailureKind(error: unknown): DatabaseFailureKind {
  if (error instanceof pg.DatabaseError) {
    const state = error.code ?? '';
    if (connectionStates.has(state)) return 'connection';
    const stateClass = state.slice(0, 2);
    if (dataClasses.has(stateClass)) return 'data';
    return connectionClasses.has(stateClass) ? 'connection' : 'statement';
  }
  if (error instanceof TypeError || error instanceof RangeError) return 'statement';
  return 'connection';
}

/** True where the same statement may succeed later without anybody's help. */
export function isTransient(error: unknown): boolean {
  return databaseFailureKind(error) === 'connection';
}

/** What OpenSSL and Node.js say of certificates, ours or the server's, that one of the two sides does not accept. */
const certificateFaults =
  /^(CERT_|DEPTH_ZERO_|SELF_SIGNED_|UNABLE_TO_|INVALID_CA|PATH_LENGTH_|HOSTNAME_MISMATCH|ERR_TLS_CERT_|ERR_SSL_.*_ALERT_(UNKNOWN_CA|.*CERTIFICATE.*))/;
/** The classes of a rejected user and of a database that does not exist. */
const rejectionClasses = new Set(['28', '3D']);
/** At a login: the user may not connect to this database. */
export const noRight = '42501';

/**
 * True where a login fails for as long as nobody changes the configuration, here or in the database: user, password,
 * database or certificate are not accepted, or TLS is demanded and not offered. To be asked of failed logins alone.
 */
export function isMisconfiguration(error: unknown): boolean {
  const code = errorCode(error);
  if (error instanceof DatabaseConnectionError && error.cause !== undefined) {
    return isMisconfiguration(error.cause);
  }
  if (error instanceof AggregateError) return error.errors.every(isMisconfiguration);
  if (error instanceof pg.DatabaseError) return code === noRight || rejectionClasses.has(code.slice(0, 2));
  return certificateFaults.test(code) || errorText(error).includes('does not support SSL');
}
