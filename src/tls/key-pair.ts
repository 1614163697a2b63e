import { backOff } from '../util/back-off.js';
import { sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { errorText } from '../util/errors.js';
import { WatchedFiles } from './watched-files.js';
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
  onChange(listener: () => void): () => void;
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
      if (!rotating || attempt === MISMATCH_RETRIES || filesOf(options).length === 0) throw error;
      await sleep(options.clock, backOff(MISMATCH_RETRY_MS, POLL_MS, attempt + 1));
    }
  }
}

class WatchedKeyPair extends WatchedFiles implements KeyPair {
  readonly #options: KeyPairOptions;
  #material: KeyMaterial;
  #version: KeyPairVersion;
  /** Looks in a row that found a key of another certificate. */
  #mismatches = 0;
  /** Logged already; empty while all is well. */
  #lastFault = '';

  constructor(options: KeyPairOptions, material: KeyMaterial) {
    super(options);
    this.#options = options;
    this.#material = material;
    this.#version = { key: material.key, cert: material.cert, version: 1 };
    this.#exportExpiry();
    this.follow({ files: filesOf(options) });
  }

  current(): KeyPairVersion {
    return this.#version;
  }

  protected async look(): Promise<void> {
    try {
      const material = await readKeyMaterial(this.#options, this.#options.clock.now());
      this.#mismatches = 0;
      if (!this.closed) this.#accept(material);
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
    if (changed) this.tellChange();
  }

  #reportFault(error: unknown): void {
    const fault = errorText(error);
    if (this.closed || fault === this.#lastFault) return;
    this.#lastFault = fault;
    this.#options.logger.error('certificate-not-reloaded', error, {
      certificate: this.#options.name,
      versionInUse: this.#version.version,
    });
  }

  protected nextLookMs(): number {
    const leftMs = this.#material.expiresMs - this.#options.clock.now();
    const pollMs = leftMs < NEAR_EXPIRY_MS ? POLL_NEAR_EXPIRY_MS : POLL_MS;
    return this.#mismatches === 0 ? pollMs : backOff(MISMATCH_RETRY_MS, pollMs, this.#mismatches);
  }

  #exportExpiry(): void {
    const { metrics, name } = this.#options;
    metrics.certificateExpirySeconds.set({ certificate: name }, Math.floor(this.#material.expiresMs / 1000));
  }
}

function filesOf({ key, cert }: KeyPairSources): string[] {
  return [key, cert].flatMap((part) => ('file' in part ? [part.file] : []));
}
