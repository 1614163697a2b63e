import type { RuleJson } from '../pipeline/policies.js';

export interface PolicyVersion {
  /** Wall-clock ms. */
  readonly fromMs: number;
  readonly toMs: number;
  /** Empty: no policy, or one that cannot be used. Undefined: nobody knows. */
  readonly rules: readonly RuleJson[] | undefined;
}

/** Which policy each app had when. */
export class PolicyBook {
  readonly #versions = new Map<string, { fromMs: number; rules: readonly RuleJson[] | undefined }[]>();

  note(guid: string, fromMs: number, rules: readonly RuleJson[]): void {
    this.#add(guid, fromMs, rules);
  }

  /** From now on it may be the one before or the one after. */
  uncertain(guid: string, fromMs: number): void {
    this.#add(guid, fromMs, undefined);
  }

  get guids(): Iterable<string> {
    return this.#versions.keys();
  }

  versions(guid: string): PolicyVersion[] {
    const all = this.#versions.get(guid) ?? [];
    return all.map((version, i) => ({ ...version, toMs: all[i + 1]?.fromMs ?? Infinity }));
  }

  /** The rules that were in force all through a span; undefined where they changed in it or nobody knows. */
  throughout(guid: string, fromMs: number, toMs: number): readonly RuleJson[] | undefined {
    const version = this.versions(guid).find((each) => each.fromMs <= fromMs && each.toMs >= toMs);
    return version?.rules;
  }

  /** Every rule that the app had at some time of a span. */
  rulesWithin(guid: string, fromMs: number, toMs: number): RuleJson[] {
    return this.versions(guid)
      .filter((version) => version.fromMs <= toMs && version.toMs >= fromMs)
      .flatMap(({ rules }) => rules ?? []);
  }

  #add(guid: string, fromMs: number, rules: readonly RuleJson[] | undefined): void {
    const versions = this.#versions.get(guid) ?? [];
    versions.push({ fromMs, rules });
    this.#versions.set(guid, versions);
  }
}
