import type { Direction } from '../policy/policy.js';

/**
 * The right to post one trigger. Where several members may own an app for a moment, a claim keeps the posts single;
 * under static sharding every claim is granted.
 */
export interface Claims {
  /** Never rejects: where the claim cannot be decided, the implementation decides what that means. */
  claim(appId: string, direction: Direction): Promise<ClaimResult>;
  /** Tells other members what the scaling engine answered. Never rejects; losing it costs an extra post, nothing else. */
  complete(appId: string, direction: Direction, answer: ClaimPauses): Promise<void>;
}

export type ClaimResult =
  | { readonly granted: true }
  | {
      readonly granted: false;
      /** `posted-elsewhere`: another member posted for this app within the interval; `lease-lost`: this member may not post now. */
      readonly reason: 'cooling-down' | 'posted-elsewhere' | 'at-limit-backoff' | 'lease-lost';
      /** Wall-clock ms when the reason ends, where known. */
      readonly untilMs?: number;
    };

export interface ClaimPauses {
  /** Wall-clock ms; null without a cool-down. */
  readonly coolDownUntilMs: number | null;
  /** Wall-clock ms until which this direction is held back after "ignored"; null otherwise. */
  readonly ignoredUntilMs: number | null;
}

/** Static sharding: one owner per app, so nothing to agree on. */
export const grantedClaims: Claims = {
  claim: () => Promise.resolve({ granted: true }),
  complete: () => Promise.resolve(),
};
