/** The configuration cannot be used. The message is exactly what the operator is told: one complete line per validation error. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** A file full of nonsense must not fill the log; after the first fifty are corrected the next start names the rest. */
const maxLines = 50;

/** One key or section, or the two special words. */
export type Affected = { readonly key: string } | 'none' | 'all';

/**
 * Collects all validation errors and warnings of a configuration, so that an operator learns all of them from one start.
 * Texts name the key, the value and what is allowed, and never hold a secret.
 */
export class Report {
  readonly warnings: string[] = [];
  readonly #unreadable: string[] = [];
  readonly #invalid: string[] = [];
  readonly #affected: Affected[] = [];

  /** A complete sentence. */
  warn(text: string): void {
    this.warnings.push(text);
  }

  /** `keys` get no value because of it, and must not be called missing or invalid as well. */
  unreadable(text: string, keys: Affected = 'none'): void {
    this.#affected.push(keys);
    this.#unreadable.push(`failed to read config file: ${text}`);
  }

  /** What Cloud Foundry gives to the process is wrong. */
  environment(text: string, keys: Affected = 'none'): void {
    this.#affected.push(keys);
    this.#unreadable.push(`failed to read the Cloud Foundry environment: ${text}`);
  }

  /**
   * The key is missing or out of range; `text` continues the sentence that begins with the key. Nothing is reported if
   * the key, or another one that the check depends on, could not be read.
   */
  invalid(key: string, text: string, dependsOn: readonly string[] = []): void {
    this.#validate([key, ...dependsOn], `Configuration error: ${key} ${text}`);
  }

  /** The Go eventgenerator's own wording for the health server's credentials, which names no key. */
  invalidHealthCheck(key: string, text: string): void {
    this.#validate([key], `configuration error: healthcheck ${text}`);
  }

  throwIfInvalid(): void {
    const lines = [...this.#unreadable, ...this.#invalid];
    if (lines.length === 0) return;
    const more = lines.length - maxLines;
    throw new ConfigError(
      [...lines.slice(0, maxLines), ...(more > 0 ? [`… and ${more} more validation errors`] : [])].join('\n'),
    );
  }

  #validate(keys: readonly string[], text: string): void {
    if (keys.some((key) => this.#isUnreadable(key))) return;
    this.#invalid.push(`failed to validate configuration : ${text}`);
  }

  /** Also when a section above the key, or a key below it, could not be read. */
  #isUnreadable(key: string): boolean {
    return this.#affected.some((affected) => {
      if (typeof affected === 'string') return affected === 'all';
      return `${key}.`.startsWith(`${affected.key}.`) || affected.key.startsWith(`${key}.`);
    });
  }
}
