const pollEveryMs = 20;

/**
 * Resolves to what `look` returns as soon as that is neither undefined nor false. Only for things that announce
 * themselves to nobody, such as rows in a table and values of a metric. Rejects, with what was waited for, when that
 * takes longer than deadlineMs.
 */
export async function eventually<T>(
  what: string,
  look: () => T | Promise<T>,
  deadlineMs = 120_000,
): Promise<Exclude<T, undefined | false>> {
  const giveUpAt = performance.now() + deadlineMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined && seen !== false) return seen as Exclude<T, undefined | false>;
    if (performance.now() > giveUpAt) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, pollEveryMs));
  }
}
