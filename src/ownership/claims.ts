import type { Direction } from '../policy/policy.js';

/**
 * The right to post one trigger. Where several members may own an app for a moment, a claim keeps the posts single;
 * under static sharding every claim is granted.
 */
export interface Claims {
  /** Never rejects: the implementation decides what an undecided claim means. */
  claim(appId: string, direction: Direction): Promise<ClaimResult>;
  /** Tells other members what the scaling engine responded. Never rejects; a lost record costs an extra post. */
  complete(appId: string, direction: Direction, pauses: ClaimPauses): Promise<void>;
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

/** For static ownership: an app has one owner, so that there is nothing to agree on. */
export const grantedClaims: Claims = {
  claim: () => Promise.resolve({ granted: true }),
  complete: () => Promise.resolve(),
};
