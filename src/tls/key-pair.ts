import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import { sleep, type Clock, type Timer } from '../clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { errorMessage } from './connection-error.js';
import { KeyMaterialError, readKeyMaterial, type KeyMaterial, type KeyPairSources } from './key-material.js';

export interface KeyPairVersion {
  readonly key: string;
  readonly cert: string;
  /** Counts up from 1 with every pair that came into use. */
  readonly version: number;
}

/**
 * A private key and its certificate that follow the files they come from. Always a pair that belongs together; the
 * old pair stays in use until a good new one is there.
 */
export interface KeyPair {
  current(): KeyPairVersion;
  /** Calls back after each change; returns how to stop that. */
  onChange(listener: (version: KeyPairVersion) => void): () => void;
  /** Stops watching; the current pair stays usable. Idempotent. */
  close(): void;
}

export interface KeyPairOptions extends KeyPairSources {
  /** For logs and metrics, e.g. `scaling_engine`. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'certificateExpirySeconds'>;
}

/** Diego renames the key first and the certificate within a second. Doubles while the mismatch lasts. */
const MISMATCH_RETRY_MS = 500;
/** Half, one, two and four seconds: a rotation is over by then, and the mismatch is the operator's to repair. */
const MISMATCH_RETRIES = 4;
/** Where the file system reports no changes (network mounts, symlinked folders), polling finds them. */
const POLL_MS = 60_000;
/** Diego rotates 30 minutes before expiry: from then on a missed change costs more than a look at two files. */
const NEAR_EXPIRY_MS = 30 * 60_000;
const POLL_NEAR_EXPIRY_MS = 10_000;

/** Opens and watches a key pair; rejects with a KeyMaterialError that names file and cause where it cannot be used. */
export async function openKeyPair(options: KeyPairOptions): Promise<KeyPair> {
  for (let attempt = 0; ; attempt++) {
    try {
      return new WatchedKeyPair(options, await readKeyMaterial(options, options.clock.now()));
    } catch (error) {
      const rotating = error instanceof KeyMaterialError && error.fault === 'mismatched';
      if (!rotating || attempt === MISMATCH_RETRIES || !fromFile(options)) throw error;
      await sleep(options.clock, MISMATCH_RETRY_MS * 2 ** attempt);
    }
  }
}

class WatchedKeyPair implements KeyPair {
  readonly #options: KeyPairOptions;
  readonly #listeners = new Set<(version: KeyPairVersion) => void>();
  readonly #watchers: FSWatcher[] = [];
  #material: KeyMaterial;
  #version: KeyPairVersion;
  #timer: Timer | undefined;
  #reading = false;
  /** The files changed while they were being read. */
  #stale = false;
  #closed = false;
  /** Looks in a row that found a key of another certificate. */
  #mismatches = 0;
  /** Logged already; empty while all is well. */
  #lastFault = '';

  constructor(options: KeyPairOptions, material: KeyMaterial) {
    this.#options = options;
    this.#material = material;
    this.#version = { key: material.key, cert: material.cert, version: 1 };
    this.#exportExpiry();
    if (!fromFile(options)) return;
    this.#watch();
    this.#pollAfter(this.#nextLookMs());
  }

  current(): KeyPairVersion {
    return this.#version;
  }

  onChange(listener: (version: KeyPairVersion) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    this.#listeners.clear();
  }

  /** Folders, not files: a renamed file is a new inode, which a watch on the old one never sees. */
  #watch(): void {
    const files = [this.#options.key, this.#options.cert].flatMap((part) =>
      'file' in part ? [part.file] : [],
    );
    const names = new Set(files.map((file) => basename(file)));
    for (const folder of new Set(files.map((file) => dirname(file)))) {
      try {
        const watcher = watch(folder, { persistent: false }, (_event, name) => {
          if (name === null || names.has(name)) void this.#reload();
        });
        watcher.on('error', (error) => {
          watcher.close();
          this.#options.logger.debug('certificate-watch-lost', { folder, cause: errorMessage(error) });
        });
        this.#watchers.push(watcher);
      } catch (error) {
        this.#options.logger.debug('certificate-watch-unavailable', { folder, cause: errorMessage(error) });
      }
    }
  }

  /** Never rejects. */
  async #reload(): Promise<void> {
    if (this.#closed) return;
    if (this.#reading) {
      this.#stale = true;
      return;
    }
    this.#reading = true;
    do {
      this.#stale = false;
      await this.#readOnce();
    } while (this.#stale && !this.#closed);
    this.#reading = false;
    if (!this.#closed) this.#pollAfter(this.#nextLookMs());
  }

  async #readOnce(): Promise<void> {
    try {
      const material = await readKeyMaterial(this.#options, this.#options.clock.now());
      this.#mismatches = 0;
      if (!this.#closed) this.#accept(material);
    } catch (error) {
      const mismatched = error instanceof KeyMaterialError && error.fault === 'mismatched';
      this.#mismatches = mismatched ? this.#mismatches + 1 : 0;
      // Every rotation passes through a mismatch: only one that lasts is worth a line.
      if (!mismatched || this.#mismatches > MISMATCH_RETRIES) this.#reportFault(error);
    }
  }

  #accept(material: KeyMaterial): void {
    const { name, logger } = this.#options;
    const changed = material.key !== this.#material.key || material.cert !== this.#material.cert;
    if (changed) {
      this.#material = material;
      this.#version = { key: material.key, cert: material.cert, version: this.#version.version + 1 };
      this.#exportExpiry();
    }
    if (changed || this.#lastFault) {
      const expires = new Date(material.expiresMs).toISOString();
      logger.info(changed ? 'certificate-reloaded' : 'certificate-recovered', {
        certificate: name,
        expires,
        version: this.#version.version,
      });
      this.#lastFault = '';
    }
    if (!changed) return;
    for (const listener of [...this.#listeners]) {
      try {
        listener(this.#version);
      } catch (error) {
        logger.error('certificate-listener-failed', error, { certificate: name });
      }
    }
  }

  #reportFault(error: unknown): void {
    const fault = errorMessage(error);
    if (this.#closed || fault === this.#lastFault) return;
    this.#lastFault = fault;
    this.#options.logger.error('certificate-not-reloaded', error, {
      certificate: this.#options.name,
      versionInUse: this.#version.version,
    });
  }

  #pollAfter(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#options.clock.setTimer(delayMs, () => void this.#reload());
  }

  #nextLookMs(): number {
    const leftMs = this.#material.expiresMs - this.#options.clock.now();
    const pollMs = leftMs < NEAR_EXPIRY_MS ? POLL_NEAR_EXPIRY_MS : POLL_MS;
    return this.#mismatches === 0
      ? pollMs
      : Math.min(pollMs, MISMATCH_RETRY_MS * 2 ** (this.#mismatches - 1));
  }

  #exportExpiry(): void {
    const { metrics, name } = this.#options;
    metrics.certificateExpirySeconds.set({ certificate: name }, Math.floor(this.#material.expiresMs / 1000));
  }
}

function fromFile(sources: KeyPairSources): boolean {
  return 'file' in sources.key || 'file' in sources.cert;
}
