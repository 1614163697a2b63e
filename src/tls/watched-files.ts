import { watch, type FSWatcher } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock, Timer } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import { errorText } from '../util/errors.js';

interface FollowedPaths {
  readonly files: readonly string[];
  /** In which every file counts. */
  readonly folders?: readonly string[];
}

/**
 * Reads files anew when they change: after each reported change, and at intervals, because not every file system reports
 * changes (network mounts, symlinked folders).
 */
export abstract class WatchedFiles<Options extends { clock: Clock; logger: Logger; name: string }> {
  readonly #listeners = new Set<() => void>();
  readonly #watchers: FSWatcher[] = [];
  #timer: Timer | undefined;
  #looking = false;
  /** The files changed while they were being read. */
  #stale = false;
  #closed = false;

  constructor(protected readonly options: Options) {}

  /** Calls back after each change; returns how to stop that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Stops watching; what was read last stays usable. Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    for (const watcher of this.#watchers.splice(0)) watcher.close();
    this.#listeners.clear();
  }

  /** Reads the files, and calls `tellChange` if they have changed. Never rejects. */
  protected abstract look(): Promise<void>;

  /** Milliseconds until the next look if nothing is reported. */
  protected abstract nextLookMs(): number;

  protected get closed(): boolean {
    return this.#closed;
  }

  /** Nothing is watched where nothing comes from a file. */
  protected follow({ files, folders = [] }: FollowedPaths): void {
    if (files.length + folders.length === 0) return;
    const names = new Set(files.map((file) => basename(file)));
    // Folders, not files: a renamed file is a new inode, which a watch on the old one never sees.
    for (const folder of new Set([...folders, ...files.map((file) => dirname(file))])) {
      this.#watch(folder, (name) => folders.includes(folder) || names.has(name));
    }
    this.#lookAfter(this.nextLookMs());
  }

  protected tellChange(): void {
    for (const listener of [...this.#listeners]) {
      try {
        listener();
      } catch (error) {
        const { logger, name } = this.options;
        logger.error('certificate-listener-failed', error, { certificate: name });
      }
    }
  }

  #watch(folder: string, concerns: (name: string) => boolean): void {
    const lost = (event: string, error: unknown) =>
      this.options.logger.debug(event, { folder, cause: errorText(error) });
    try {
      const watcher = watch(folder, { persistent: false }, (_event, name) => {
        if (name === null || concerns(name)) void this.#lookNow();
      });
      watcher.on('error', (error) => {
        watcher.close();
        lost('certificate-watch-lost', error);
      });
      this.#watchers.push(watcher);
    } catch (error) {
      lost('certificate-watch-unavailable', error);
    }
  }

  async #lookNow(): Promise<void> {
    if (this.#closed) return;
    if (this.#looking) {
      this.#stale = true;
      return;
    }
    this.#looking = true;
    do {
      this.#stale = false;
      await this.look();
    } while (this.#stale && !this.#closed);
    this.#looking = false;
    if (!this.#closed) this.#lookAfter(this.nextLookMs());
  }

  #lookAfter(delayMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.options.clock.setTimer(delayMs, () => void this.#lookNow());
  }
}
