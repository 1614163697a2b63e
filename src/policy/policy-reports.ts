import type { Clock } from '../util/clock.js';
import type { RepeatedEvents } from '../observability/repeated-events.js';
import type { StoredPolicy } from './policy-store.js';
import { rawGaugeRules } from './raw-gauges.js';

/** Policies of a kind that are named in the log after one read, and a minute: a wrong schema would break thousands. */
const maxNamedPolicies = 20;
/** Broken policies are told of again after this long. */
const remindEveryMs = 86_400_000;

/** Logs, once for each version, the policies that cannot be used, or hardly do what they were meant to. */
export class PolicyReports {
  /** Policies named in the log so far. */
  #named = 0;
  /** Of the current read. */
  #broken = 0;
  #rawGauges = 0;
  #remindedAtMs = -Infinity;

  constructor(
    private readonly repeated: Pick<RepeatedEvents, 'error' | 'info'>,
    private readonly clock: Pick<Clock, 'monotonic'>,
  ) {}

  /** A policy was read that is new or another than before. */
  read(appId: string, before: StoredPolicy | undefined, now: StoredPolicy): void {
    if (now.kind === 'broken') {
      if (this.#broken++ >= maxNamedPolicies) return;
      const error = new Error(`the policy cannot be used: ${now.problem}`);
      this.repeated.error('policy-broken', error, { appId }, this.#nextName('policy-broken'));
      return;
    }
    if (before?.kind === 'broken') {
      this.repeated.info('policy-usable-again', { appId }, this.#nextName('policy-usable-again'));
    }
    const rules = rawGaugeRules(now.policy.rules);
    if (rules.length === 0 || this.#rawGauges++ >= maxNamedPolicies) return;
    this.repeated.info('custom-metrics-only', { appId, rules }, this.#nextName('custom-metrics-only'));
  }

  /** All that differed was read. `broken`: the apps whose policies cannot be used now. */
  endOfRead(broken: readonly string[]): void {
    this.#tellMore('more-policies-broken', this.#broken);
    this.#tellMore('more-custom-metrics-only', this.#rawGauges);
    this.#broken = 0;
    this.#rawGauges = 0;
    this.#remind(broken);
  }

  #tellMore(event: string, policies: number): void {
    const notNamed = policies - maxNamedPolicies;
    if (notNamed > 0) this.repeated.info(event, { notNamed });
  }

  /** Whoever looks at the log of today sees what broke last week, too. */
  #remind(broken: readonly string[]): void {
    const nowMs = this.clock.monotonic();
    if (broken.length === 0 || this.#remindedAtMs === -Infinity) {
      this.#remindedAtMs = broken.length === 0 ? -Infinity : nowMs;
      return;
    }
    if (nowMs - this.#remindedAtMs < remindEveryMs) return;
    this.#remindedAtMs = nowMs;
    const policies = broken.length;
    const error = new Error(`${policies} policies cannot be used`);
    this.repeated.error('policies-still-broken', error, {
      policies,
      appIds: broken.slice(0, maxNamedPolicies),
    });
  }

  /** Each policy has a line of its own, up to so many a minute. */
  #nextName(event: string): string {
    return `${event} ${this.#named++ % maxNamedPolicies}`;
  }
}
