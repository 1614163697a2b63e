/**
 * - `credentials`: UAA rejected the client, user or grant, and will do so until the configuration is repaired
 * - `unavailable`: no response, or one that says "later"
 * - `bad-answer`: a response, but not a token as UAA gives it
 */
export type TokenErrorKind = 'credentials' | 'unavailable' | 'bad-answer';

/** Why there is no token. The message names client, URL and remedy, and never a secret or a token. */
export class TokenError extends Error {
  override readonly name = 'TokenError';

  constructor(
    readonly kind: TokenErrorKind,
    message: string,
    /** How long UAA asked to be left alone; null where it did not. Milliseconds. */
    readonly retryAfterMs: number | null = null,
  ) {
    super(message);
  }
}
