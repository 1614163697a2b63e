import type { Clock, Timer } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { leaseSwitched, memberStates, nextChangeMs, noLease, stateAt, type Lease } from './lease.js';
import type { OwnershipChange } from './ownership.js';
import { isSameView } from './rendezvous.js';

export interface LeaseHolderOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'members' | 'memberState' | 'leaseAgeSeconds' | 'logLinesSuppressed'>;
}

type Listener = (change: OwnershipChange) => void;

/** Holds what this member knows of itself, and switches to the next view when its time has come. */
export class LeaseHolder {
  readonly #repeated: RepeatedEvents;
  readonly #listeners: Listener[] = [];
  #lease = noLease;
  #nextSwitch: Timer | undefined;

  constructor(private readonly options: LeaseHolderOptions) {
    this.#repeated = new RepeatedEvents(options);
  }

  get lease(): Lease {
    return this.#lease;
  }

  onChange(listener: Listener): void {
    this.#listeners.push(listener);
  }

  /** The one place where the lease changes: logs, counts and notifies. `atMs`: the time that `next` is made for. */
  become(next: Lease, atMs: number): void {
    const before = this.#lease;
    this.#lease = next;
    const nowMs = this.options.clock.monotonic();
    this.#measure(next, nowMs);
    this.#log(before, next, nowMs);
    // As of atMs: a switch that came between then and now is still to be made.
    this.#switchAt(nextChangeMs(next, atMs));
    const change = changeBetween(before, next, atMs);
    if (change) this.#notify(change);
  }

  #measure(lease: Lease, nowMs: number): void {
    const { metrics } = this.options;
    metrics.members.set(lease.view?.members.length ?? 0);
    for (const state of memberStates) metrics.memberState.set({ state }, state === lease.state ? 1 : 0);
    metrics.leaseAgeSeconds.set(lease.leaseId === null ? -1 : (nowMs - lease.renewedMs) / 1000);
  }

  #log(before: Lease, next: Lease, nowMs: number): void {
    const { logger } = this.options;
    // A lease can also run out without an event, while the process is frozen.
    const was = next.state === before.state ? stateAt(before, nowMs) : before.state;
    if (next.state !== was) logger.info(next.state, { leaseId: next.leaseId, was });
    if (isSameView(before.view, next.view)) return;
    const old = before.view?.members ?? [];
    const members = next.view?.members ?? [];
    logger.info('members-changed', {
      members: members.length,
      came: members.filter((member) => !old.includes(member)),
      went: old.filter((member) => !members.includes(member)),
    });
  }

  #switchAt(timeMs: number): void {
    const { clock } = this.options;
    this.#nextSwitch?.cancel();
    this.#nextSwitch = undefined;
    if (timeMs === Infinity) return;
    this.#nextSwitch = clock.setTimer(timeMs - clock.monotonic(), () => {
      const nowMs = clock.monotonic();
      this.become(leaseSwitched(this.#lease, nowMs), nowMs);
    });
  }

  #notify(change: OwnershipChange): void {
    for (const listener of this.#listeners) {
      try {
        listener(change);
      } catch (error) {
        // A listener that throws must not keep the lease from being renewed.
        this.#repeated.error('listener-failed', error);
      }
    }
  }
}

/** What listeners are told; null where no app moves and the lease is not a new one. */
function changeBetween(before: Lease, next: Lease, atMs: number): OwnershipChange | null {
  const isSwitched = !isSameView(before.view, next.view);
  const hasNewLease = next.state === 'member' && next.leaseId !== before.leaseId;
  const hasLeft = next.state === 'left' && before.state !== 'left';
  const hasReleased = before.outgoing !== null && next.outgoing !== before.outgoing;
  if (!isSwitched && !hasNewLease && !hasLeft && !hasReleased) return null;
  if (hasLeft) return { untilMs: atMs };
  // Who rejoins has lost its apps to others before.
  const isReleasedAtOnce = isSwitched && next.outgoing === null && next.leaseId === before.leaseId;
  return { untilMs: hasReleased || isReleasedAtOnce ? next.viewSinceMs : -Infinity };
}
