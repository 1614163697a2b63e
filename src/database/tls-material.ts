import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { ConnectionSettings } from './connection.js';
import { errorText } from '../util/errors.js';
import { needsRoots, readPems, tlsAttempts, type PemTexts, type TlsAttempt } from './tls.js';

export interface TlsMaterialOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** PEM certificates trusted where a URL names no root certificate. Asked only then, and again for new connections. */
  readonly trustedRoots: () => Promise<readonly string[]>;
}

interface Material {
  readonly pems: PemTexts;
  readonly roots: readonly string[];
}

const recheckMs = 10_000;

/** Certificates, key and roots for one database. They may be renewed on disk while the process runs. */
export class TlsMaterial {
  readonly #name: string;
  readonly #settings: ConnectionSettings;
  readonly #options: TlsMaterialOptions;
  #readAtMs: number;
  #material: Material;
  #attempts: readonly [TlsAttempt, TlsAttempt?];
  /** Logged already; empty while all is well. */
  #lastProblem = '';

  /** Rejects with a DatabaseConfigError where something cannot be read or used. */
  static async open(
    name: string,
    settings: ConnectionSettings,
    options: TlsMaterialOptions,
  ): Promise<TlsMaterial> {
    return new TlsMaterial(name, settings, options, await read(name, settings, options));
  }

  private constructor(
    name: string,
    settings: ConnectionSettings,
    options: TlsMaterialOptions,
    material: Material,
  ) {
    this.#name = name;
    this.#settings = settings;
    this.#options = options;
    this.#readAtMs = options.clock.monotonic();
    this.#material = material;
    this.#attempts = tlsAttempts(settings, material.pems, material.roots);
  }

  /** The ways to connect, best first. */
  get attempts(): readonly [TlsAttempt, TlsAttempt?] {
    return this.#attempts;
  }

  /** For new connections. Material that cannot be read or used leaves the old one in place. Never rejects. */
  async refresh(): Promise<void> {
    const { clock, logger } = this.#options;
    if (clock.monotonic() - this.#readAtMs < recheckMs) return;
    this.#readAtMs = clock.monotonic();
    try {
      const material = await read(this.#name, this.#settings, this.#options);
      this.#lastProblem = '';
      if (isSame(material, this.#material)) return;
      this.#attempts = tlsAttempts(this.#settings, material.pems, material.roots);
      this.#material = material;
      logger.info('certificates-reloaded', { database: this.#name });
    } catch (error) {
      const problem = errorText(error);
      if (problem === this.#lastProblem) return;
      this.#lastProblem = problem;
      logger.error('certificates-not-reloaded', error, { database: this.#name });
    }
  }
}

const noRoots: readonly string[] = [];

async function read(
  name: string,
  settings: ConnectionSettings,
  options: TlsMaterialOptions,
): Promise<Material> {
  const pems = await readPems(`db.${name}`, settings);
  return { pems, roots: needsRoots(settings) ? await options.trustedRoots() : noRoots };
}

function isSame(one: Material, other: Material): boolean {
  const { pems } = other;
  return (
    one.roots === other.roots &&
    one.pems.ca === pems.ca &&
    one.pems.cert === pems.cert &&
    one.pems.key === pems.key
  );
}
