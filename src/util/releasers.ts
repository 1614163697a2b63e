type Release = () => Promise<void> | void;

/**
 * Collects how to undo what was built, and undoes it in reverse order: also when building stopped half-way.
 */
export interface Releasers {
  add(name: string, release: Release): void;
  /** Idempotent; never rejects: one part that cannot be released must not keep the others. */
  releaseAll(): Promise<void>;
}

/** `log` learns of a part that could not be released. A logger will do. */
export function createReleasers(log: {
  error(event: string, error: unknown, data: { readonly part: string }): void;
}): Releasers {
  const releasers: { name: string; release: Release }[] = [];
  let releasing: Promise<void> | undefined;

  async function releaseInReverse(): Promise<void> {
    for (let last = releasers.pop(); last; last = releasers.pop()) {
      try {
        await last.release();
      } catch (error) {
        log.error('release-failed', error, { part: last.name });
      }
    }
  }

  return {
    add: (name, release) => void releasers.push({ name, release }),
    releaseAll: () => (releasing ??= releaseInReverse()),
  };
}
