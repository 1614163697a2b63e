import type { Bucket } from './policy-store.js';

/**
 * Which apps have a policy, some forty bytes each: a member keeps the policies of its own apps only, and has to find
 * those it gains.
 */
export class PolicyIndex {
  readonly #buckets = new Map<number, Pick<Bucket, 'digest' | 'appIds'>>();

  get size(): number {
    let size = 0;
    // A digest begins with the number of apps.
    for (const { digest } of this.#buckets.values()) size += Number.parseInt(digest, 10);
    return size;
  }

  /** Numbers of the buckets in which something differs. */
  differing(digests: ReadonlyMap<number, string>): number[] {
    const changed = [...digests].filter(([number, digest]) => this.#buckets.get(number)?.digest !== digest);
    const emptied = [...this.#buckets.keys()].filter((number) => !digests.has(number));
    return [...changed.map(([number]) => number), ...emptied];
  }

  appIdsOf(number: number): readonly string[] {
    const bucket = this.#buckets.get(number);
    return bucket ? listOf<string>(bucket.appIds) : [];
  }

  /** Puts what was read in place of these buckets; those that were not found are empty. */
  replace(numbers: readonly number[], found: readonly Bucket[]): void {
    for (const number of numbers) this.#buckets.delete(number);
    for (const { number, digest, appIds } of found) this.#buckets.set(number, { digest, appIds });
  }

  *appIds(): Generator<readonly string[]> {
    for (const number of this.#buckets.keys()) yield this.appIdsOf(number);
  }
}

export function listOf<T>(json: string): readonly T[] {
  return JSON.parse(json) as T[];
}
