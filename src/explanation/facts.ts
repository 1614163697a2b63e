import type { Gate, Histories, Hold } from '../evaluation/decide.js';
import { heldReasons, type HeldReason } from '../evaluation/decision.js';
import type { OpenBreaker } from '../evaluation/open-breaker.js';
import type { AppPolicy, Direction } from '../policy/policy.js';
import { fnv1a32 } from '../util/hash.js';
import { limitCode, type ReasonCode } from './reason.js';

/* What an explanation is made of. Times are wall-clock ms; null where a thing does not exist. */

/** `unknown`: policy_db did not answer. */
export type PolicyFacts =
  | { readonly kind: 'unknown' }
  | { readonly kind: 'none' }
  | { readonly kind: 'broken'; readonly version: string; readonly problem: string }
  | {
      readonly kind: 'usable';
      readonly policy: AppPolicy;
      /** Of the policy itself; a schedule may have others. null where the policy has no readable one. */
      readonly minInstances: number | null;
      readonly maxInstances: number | null;
    };

/** What the scaling engine's answers hold back, as members have told each other. */
export interface Pauses {
  readonly coolDownUntilMs: number | null;
  readonly ignoredOutUntilMs: number | null;
  readonly ignoredInUntilMs: number | null;
}

export interface OwnerFacts {
  readonly instanceIndex: number;
  /** null with static ownership. */
  readonly leaseId: string | null;
  readonly instanceGuid: string | null;
  /** Whether it is the member that was asked; null where no member was. */
  readonly isMe: boolean | null;
}

export interface LastTrigger {
  readonly atMs: number;
  /** Counted from 1; null: a rule of another version of the policy. */
  readonly rule: number | null;
  readonly adjustment: string;
  readonly direction: Direction;
  /** `scaled`, `ignored`, `cooling-down`, or the failure as in `triggers_total`. */
  readonly result: string;
  /** What the scaling engine said, where it failed. */
  readonly message: string | null;
}

export interface CollectionFailure {
  readonly metricType: string;
  /** As in `collections_total`. */
  readonly failure: string;
  /** Empty where it is not known here. */
  readonly message: string;
  readonly sinceMs: number;
}

/** "timeout: no answer within 5000 ms" */
export function failureText({ failure, message }: CollectionFailure): string {
  return message === '' ? failure : `${failure}: ${message}`;
}

export function isOpen({ untilMs }: OpenBreaker, atMs: number): boolean {
  return untilMs > atMs;
}

/** What only the owner of an app knows, from its memory or from the row that it wrote. */
export interface OwnersKnowledge {
  readonly code: ReasonCode;
  readonly sinceMs: number;
  /** Until when a trigger is held back. */
  readonly untilMs: number | null;
  /** See `policyTag`. */
  readonly policyTag: string;
  /** Since when this member has evaluated the app. */
  readonly ownedSinceMs: number;
  readonly leaseId: string | null;
  readonly instanceIndex: number;
  readonly updatedAtMs: number;
  readonly lastTrigger: LastTrigger | null;
  readonly failures: readonly CollectionFailure[];
  /** Those that are not closed. The one that all apps share only from the owner's memory: it is open for seconds. */
  readonly breakers: readonly OpenBreaker[];
}

/** The newest change of a decision until some time in the past. */
export interface RecordedDecision {
  readonly code: ReasonCode;
  readonly sinceMs: number;
  readonly text: string;
}

export interface Facts {
  readonly appId: string;
  /** Observers decide, and post nothing. */
  readonly isObserver: boolean;
  /** The time that was asked about. */
  readonly atMs: number;
  readonly policy: PolicyFacts;
  /** null: appmetrics_db did not answer. */
  readonly histories: Histories | null;
  /** Metric types that have been collected for a day without any value. */
  readonly withoutValues: readonly string[];
  /** null: not known here. */
  readonly pauses: Pauses | null;
  /** `nobody`: no living member owns the app; null: not known here. */
  readonly owner: OwnerFacts | 'nobody' | null;
  /** null: the owner has said nothing, or it cannot be read here. */
  readonly knowledge: OwnersKnowledge | null;
  /** From the owner's memory, or from a table. */
  readonly knownBy: 'owner' | 'table' | null;
  /** The decision at the time asked about, if that is past; null: the time is now, or no change before it is kept. */
  readonly recorded: RecordedDecision | null;
  /** What could not be read, a sentence each. */
  readonly missing: readonly string[];
  readonly evaluationIntervalMs: number;
}

/** What holds the app's triggers back, as far as these facts tell. */
export function gateOf(facts: Facts): Gate {
  const { pauses, knowledge, recorded, atMs, evaluationIntervalMs } = facts;
  if (recorded) return recordedGate(recorded.code);
  const ahead = (untilMs: number | null | undefined) =>
    untilMs !== null && untilMs !== undefined && untilMs > atMs ? untilMs : null;
  const held = isOfThisPolicy(facts) ? knowledge : null;
  const triggered = knowledge?.lastTrigger;
  const breakersUntilMs = [
    ...(held?.code === 'breaker-open' ? [held.untilMs ?? 0] : []),
    ...(held?.breakers ?? []).map(({ untilMs }) => untilMs),
  ];
  const holdUntil = (reason: Hold['reason'], untilMs: number | null): Hold[] =>
    untilMs === null ? [] : [{ reason, untilMs }];
  return {
    coolDownUntilMs:
      ahead(pauses?.coolDownUntilMs) ?? (held?.code === 'cooling-down' ? ahead(held.untilMs) : null),
    holds: (direction) => [
      ...(held?.code === 'lease-lost' || held?.code === 'engine-busy' ? [{ reason: held.code }] : []),
      ...holdUntil('breaker-open', ahead(Math.max(...breakersUntilMs))),
      ...holdUntil(
        'at-limit-backoff',
        ahead(direction === 'out' ? pauses?.ignoredOutUntilMs : pauses?.ignoredInUntilMs) ??
          (held?.code === limitCode(direction) ? ahead(held.untilMs) : null),
      ),
      ...holdUntil('posted-recently', triggered ? ahead(triggered.atMs + evaluationIntervalMs) : null),
    ],
  };
}

/** Of the past it is known what held triggers back, but not until when. */
function recordedGate(code: ReasonCode): Gate {
  return {
    coolDownUntilMs: null,
    holds: (direction) => {
      if (code === limitCode(direction)) return [{ reason: 'at-limit-backoff' }];
      return isHeldReason(code) ? [{ reason: code }] : [];
    },
  };
}

function isHeldReason(code: ReasonCode): code is HeldReason {
  return (heldReasons as readonly ReasonCode[]).includes(code);
}

/** Whether anything is known of what holds the app's triggers back. */
export function areHoldsKnown({ pauses, knowledge, recorded }: Facts): boolean {
  return pauses !== null || knowledge !== null || recorded !== null;
}

/** Whether what the owner knows is about this version of the policy: of another one, holds and numbers of rules do not count. */
function isOfThisPolicy({ knowledge, policy }: Facts): boolean {
  return policy.kind === 'usable' && knowledge?.policyTag === policyTag(policy.policy.version);
}

export function lastTriggerOf(facts: Facts): LastTrigger | null {
  const { lastTrigger = null } = facts.knowledge ?? {};
  return lastTrigger && !isOfThisPolicy(facts) ? { ...lastTrigger, rule: null } : lastTrigger;
}

/** Since when the owner has evaluated the app; null: it has not said, or what is known is of another owner. */
export function ownedSinceMs({ owner, knowledge }: Facts): number | null {
  if (owner === null || owner === 'nobody' || knowledge?.leaseId !== owner.leaseId) return null;
  return knowledge.ownedSinceMs;
}

/** Tells versions of a policy apart in a few characters. */
export function policyTag(version: string): string {
  return fnv1a32(version).toString(16).padStart(8, '0');
}
