import { backOff } from '../util/back-off.js';
import { sleep, type Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { errorText } from '../util/errors.js';
import { WatchedFiles } from './watched-files.js';
import {
  MismatchedKeyError,
  readKeyMaterial,
  type KeyMaterial,
  type KeyPairSources,
} from './key-material.js';
import { isoTime } from '../util/iso-time.js';

export interface KeyPairOptions extends KeyPairSources {
  /** For logs and metrics, e.g. `scaling_engine`. */
  readonly name: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'certificateExpirySeconds'>;
}

/** Doubles while a mismatch lasts. Diego renames the key first and the certificate within a second. */
const mismatchRetryMs = 500;
/** After 0.5, 1, 2 and 4 s a rotation is over, and the mismatch is the operator's to repair. */
const mismatchRetries = 4;
const defaultPollMs = 60_000;
/** Diego rotates 30 minutes before expiry. From then on a missed change costs more than a look at two files. */
const nearExpiryMs = 30 * 60_000;
const pollNearExpiryMs = 10_000;

/** Opens and watches a key pair. Rejects where it cannot be used, with an error that names file and cause. */
export async function openKeyPair(options: KeyPairOptions): Promise<KeyPair> {
  for (let attempt = 0; ; attempt++) {
    try {
      return new WatchedKeyPair(options, await readKeyMaterial(options, options.clock.now()));
    } catch (error) {
      const rotating = error instanceof MismatchedKeyError;
      if (!rotating || attempt === mismatchRetries || filesOf(options).length === 0) throw error;
      await sleep(options.clock, backOff(mismatchRetryMs, defaultPollMs, attempt + 1));
    }
  }
}

/**
 * A private key and its certificate that follow the files they come from. It is always a pair that belongs together:
 * the old one stays in use until a good new one is there, and after `close`.
 */
export type KeyPair = Pick<WatchedKeyPair, 'current' | 'onChange' | 'close'>;

class WatchedKeyPair extends WatchedFiles<KeyPairOptions> {
  #material: KeyMaterial;
  /** Looks in a row that found a key of another certificate. */
  #mismatches = 0;
  /** Logged already; empty while all is well. */
  #lastProblem = '';

  constructor(options: KeyPairOptions, material: KeyMaterial) {
    super(options);
    this.#material = material;
    this.#exportExpiry();
    this.follow({ files: filesOf(options) });
  }

  current(): Pick<KeyMaterial, 'key' | 'cert'> {
    return this.#material;
  }

  protected async look(): Promise<void> {
    try {
      const material = await readKeyMaterial(this.options, this.options.clock.now());
      this.#mismatches = 0;
      if (!this.closed) this.#accept(material);
    } catch (error) {
      const mismatched = error instanceof MismatchedKeyError;
      this.#mismatches = mismatched ? this.#mismatches + 1 : 0;
      // Every rotation passes through a mismatch: only one that lasts is worth a line.
      if (!mismatched || this.#mismatches > mismatchRetries) this.#reportProblem(error);
    }
  }

  #accept(material: KeyMaterial): void {
    const { name, logger } = this.options;
    const changed = material.key !== this.#material.key || material.cert !== this.#material.cert;
    if (changed) {
      this.#material = material;
      this.#exportExpiry();
    }
    if (changed || this.#lastProblem) {
      const expires = isoTime(material.expiresMs);
      const event = changed ? 'certificate-reloaded' : 'certificate-recovered';
      logger.info(event, { certificate: name, expires });
      this.#lastProblem = '';
    }
    if (changed) this.tellChange();
  }

  #reportProblem(error: unknown): void {
    const problem = errorText(error);
    if (this.closed || problem === this.#lastProblem) return;
    this.#lastProblem = problem;
    const { name, logger } = this.options;
    logger.error('certificate-not-reloaded', error, { certificate: name });
  }

  protected nextLookMs(): number {
    const leftMs = this.#material.expiresMs - this.options.clock.now();
    const pollMs = leftMs < nearExpiryMs ? pollNearExpiryMs : defaultPollMs;
    return this.#mismatches === 0 ? pollMs : backOff(mismatchRetryMs, pollMs, this.#mismatches);
  }

  #exportExpiry(): void {
    const { metrics, name } = this.options;
    metrics.certificateExpirySeconds.set({ certificate: name }, Math.floor(this.#material.expiresMs / 1000));
  }
}

function filesOf({ key, cert }: KeyPairSources): string[] {
  return [key, cert].flatMap((part) => ('file' in part ? [part.file] : []));
}
