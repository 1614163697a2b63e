import type { PemSource } from '../config/config.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import { errorText } from '../util/errors.js';
import { WatchedFiles } from './watched-files.js';
import { readCaCertificates } from './pem.js';
import { defaultBundle, fingerprint, systemRoots, type TrustOptions } from './trust.js';

export interface CaCertificatesOptions extends LogContext {
  /** The configuration key of `ca`, for logs. */
  readonly name: string;
  readonly ca: PemSource | null;
  readonly trust: Pick<TrustOptions, 'systemCertPath' | 'systemBundle'>;
  /** Whether the system's CA certificates are trusted besides `ca`, and alone where that cannot be used. Default: no. */
  readonly besidesSystem?: boolean;
}

const pollMs = 60_000;

/** Rejects with file, cause and remedy where `ca` cannot be used and is not just trusted besides the system's. */
export async function openCaCertificates(options: CaCertificatesOptions): Promise<CaCertificates> {
  const certificates = new WatchedCaCertificates(options);
  await certificates.open();
  return certificates;
}

/** The CA certificates that are trusted, following their files. Of a file that became unusable the last good ones count. */
export type CaCertificates = Pick<WatchedCaCertificates, 'current' | 'onChange' | 'close'>;

class WatchedCaCertificates extends WatchedFiles<CaCertificatesOptions> {
  readonly #system: (() => Promise<readonly string[]>) | null;
  readonly #events: RepeatedEvents;
  #roots: readonly string[] = [];
  /** Of `ca` alone. */
  #lastCa: readonly string[] = [];
  /** Of the file of `ca` as it was read; null before. */
  #fingerprint: string | null = null;
  /** `ca` was good once and cannot be used now. */
  #failed = false;

  constructor(options: CaCertificatesOptions) {
    super(options);
    const { ca, besidesSystem, trust, logger } = options;
    this.#system = !ca || besidesSystem ? systemRoots({ ...trust, logger }) : null;
    this.#events = new RepeatedEvents(options);
  }

  async open(): Promise<void> {
    const { ca, trust } = this.options;
    const { systemBundle = defaultBundle, systemCertPath } = trust;
    this.#roots = await this.#read();
    const files = ca && 'file' in ca ? [ca.file] : [];
    if (this.#system) files.push(systemBundle);
    this.follow({ files, folders: this.#system && systemCertPath ? [systemCertPath] : [] });
  }

  /** PEM texts; the same array until something changes. */
  current(): readonly string[] {
    return this.#roots;
  }

  protected nextLookMs(): number {
    return pollMs;
  }

  protected async look(): Promise<void> {
    const { name, logger } = this.options;
    const hadFailed = this.#failed;
    const roots = await this.#read();
    if (this.closed) return;
    const changed = roots.join() !== this.#roots.join();
    if (changed) this.#roots = roots;
    if (changed || (hadFailed && !this.#failed)) {
      logger.info('authorities-reloaded', { authorities: name, trusted: roots.length });
    }
    if (changed) this.tellChange();
  }

  async #read(): Promise<readonly string[]> {
    const { ca, name, besidesSystem } = this.options;
    const system = this.#system ? await this.#system() : [];
    if (!ca) return system;
    // A file may have hundreds of certificates. They are parsed only if it has changed, or could not be used.
    const found = 'file' in ca ? await fingerprint([ca.file]) : '';
    if (found === this.#fingerprint && !this.#failed) return [...system, ...this.#lastCa];
    this.#fingerprint = found;
    this.#failed = false;
    try {
      this.#lastCa = await readCaCertificates(ca);
    } catch (error) {
      this.#failed = this.#lastCa.length > 0;
      if (this.#failed) this.#events.error('authorities-not-reloaded', error, { authorities: name });
      else if (!besidesSystem) throw error;
      else this.#events.info('log-cache-authority-not-used', { key: name, cause: errorText(error) });
    }
    return [...system, ...this.#lastCa];
  }
}
