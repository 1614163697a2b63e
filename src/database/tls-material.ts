import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { ConnectionSettings } from './connection.js';
import { errorText } from '../util/errors.js';
import { needsRoots, readPems, tlsAttempts, type TlsAttempt } from './tls.js';

export interface TlsMaterialOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM certificates trusted where a URL names no root certificate. Asked only then, and again for new connections. */
  readonly trustedRoots: () => Promise<readonly string[]>;
}

/** Certificates, key and roots for one database. They may be renewed on disk while the process runs. */
export interface TlsMaterial {
  /** The ways to connect, best first. */
  attempts(): readonly [TlsAttempt, TlsAttempt?];
  /** For new connections. Material that cannot be read or used leaves the old one in place. Never rejects. */
  refresh(): Promise<void>;
}

const recheckMs = 10_000;

/** Rejects with a DatabaseConfigError where something cannot be read or used. */
export async function openTlsMaterial(
  name: string,
  settings: ConnectionSettings,
  { clock, logger, trustedRoots }: TlsMaterialOptions,
): Promise<TlsMaterial> {
  const read = async () => ({
    pems: await readPems(`db.${name}`, settings),
    roots: needsRoots(settings) ? await trustedRoots() : [],
  });
  let material = await read();
  let attempts = tlsAttempts(settings, material.pems, material.roots);
  let readAtMs = clock.monotonic();
  /** Logged already; empty while all is well. */
  let lastProblem = '';
  return {
    attempts: () => attempts,
    async refresh() {
      if (clock.monotonic() - readAtMs < recheckMs) return;
      readAtMs = clock.monotonic();
      try {
        const renewed = await read();
        lastProblem = '';
        if (isDeepStrictEqual(renewed, material)) return;
        attempts = tlsAttempts(settings, renewed.pems, renewed.roots);
        material = renewed;
        logger.info('certificates-reloaded', { database: name });
      } catch (error) {
        const problem = errorText(error);
        if (problem === lastProblem) return;
        lastProblem = problem;
        logger.error('certificates-not-reloaded', error, { database: name });
      }
    },
  };
}
