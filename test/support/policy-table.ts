import type { Bucket, PolicyStore, StoredPolicy } from '../../src/policy/policy-store.js';

type Entry = readonly [appId: string, stored: StoredPolicy];

/** Policies as policy_db has them, in buckets by the first character of the app id. */
export class PolicyTable implements PolicyStore {
  #rows = new Map<string, { readonly stored: StoredPolicy; readonly stamp: number }>();
  #stamps = 0;
  /** Called at each look at the digests; what it throws or rejects with is the database's error. */
  onPoll: () => void | Promise<void> = () => {};
  /** Called with the apps whose policies are asked for. */
  onRead: (appIds: readonly string[]) => void | Promise<void> = () => {};

  /** Replaces all policies. A row of the same version stays as it is. */
  have(...entries: readonly Entry[]): void {
    const rows = entries.map(([appId, stored]) => {
      const row = this.#rows.get(appId);
      const isSame = row?.stored.version === stored.version;
      return [appId, isSame ? row : { stored, stamp: ++this.#stamps }] as const;
    });
    this.#rows = new Map(rows);
  }

  async digests() {
    await this.onPoll();
    return new Map(this.#buckets().map(({ number, digest }) => [number, digest]));
  }

  async *buckets(numbers: readonly number[]) {
    await Promise.resolve();
    yield this.#buckets().filter(({ number }) => numbers.includes(number));
  }

  async *policies(appIds: readonly string[]) {
    await this.onRead(appIds);
    yield appIds.flatMap((appId) => {
      const row = this.#rows.get(appId);
      return row ? [{ appId, ...row, text: null }] : [];
    });
  }

  #buckets(): Bucket[] {
    const numbers = new Set([...this.#rows.keys()].map(bucketOf));
    return [...numbers].map((number) => {
      const rows = [...this.#rows].filter(([appId]) => bucketOf(appId) === number);
      const stamps = rows.map(([, { stamp }]) => stamp);
      return {
        number,
        digest: `${rows.length}:${stamps.join()}`,
        appIds: JSON.stringify(rows.map(([appId]) => appId)),
        stamps: JSON.stringify(stamps),
      };
    });
  }
}

function bucketOf(appId: string): number {
  return appId.charCodeAt(0);
}
