import type { Mode } from '../config/config.js';
import type { Clock } from '../util/clock.js';
import { Semaphore } from '../util/semaphore.js';
import type { ClaimResult, Claims } from '../ownership/claims.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { directionOf } from '../policy/policy.js';
import type { Breakers } from './breakers.js';
import type { Trigger } from '../evaluation/trigger.js';
import type { TriggerResult } from './trigger-result.js';
import { heldBy } from '../evaluation/decide.js';
import type { Decision, HeldReason } from '../evaluation/decision.js';
import type { Gates } from './gates.js';
import { isoTime } from '../util/iso-time.js';

/**
 * The scaling engine asks the Cloud Controller several times for each trigger. More at once would only move the queue
 * into its connections, where it can no longer be ordered.
 */
const maxPostsInFlight = 50;

export type Fired = Extract<Decision, { outcome: 'fired' }>;

export interface PosterOptions {
  readonly clock: Clock;
  readonly gates: Gates;
  readonly breakers: Breakers;
  readonly claims: Claims;
  /** Never rejects, and has a deadline of its own. */
  readonly scalingEngine: { post(trigger: Trigger): Promise<TriggerResult> };
  readonly metrics: Pick<Metrics, 'triggers' | 'logLinesSuppressed'>;
  readonly logger: Logger;
  readonly evaluationIntervalMs: number;
  readonly mode: Mode;
}

/** Posts triggers: claims them, bounds how many are in flight, and records the result. */
export class Poster {
  readonly #permits: Semaphore;
  readonly #repeated: RepeatedEvents;
  readonly #inFlight = new Set<string>();

  constructor(private readonly options: PosterOptions) {
    this.#permits = new Semaphore(options.clock, () => maxPostsInFlight);
    this.#repeated = new RepeatedEvents(options);
  }

  /** Whether a trigger of this app is waiting for a permit or for its response. */
  isPosting(appId: string): boolean {
    return this.#inFlight.has(appId);
  }

  /**
   * Returns the decision as it was if the trigger was posted, whatever the result; else why it was held back; null if it
   * was not due any more. `isDue` is asked as soon as there is a permit, because a trigger may wait for one until its app has
   * new app metrics.
   */
  async post(fired: Fired, isDue: () => boolean): Promise<Decision | null> {
    const appId = fired.trigger.app_id;
    if (this.#inFlight.has(appId)) return this.#held(fired, 'posted-recently');
    this.#inFlight.add(appId);
    try {
      // An app that gets its instances late is an outage, one that keeps them too long only costs money.
      const urgent = directionOf(fired.rule) === 'out';
      if (!(await this.#permits.acquire({ timeoutMs: this.options.evaluationIntervalMs, urgent }))) {
        return this.#held(fired, 'engine-busy');
      }
      try {
        return isDue() ? await this.#postPermitted(fired) : null;
      } finally {
        this.#permits.release();
      }
    } finally {
      this.#inFlight.delete(appId);
    }
  }

  async #postPermitted(fired: Fired): Promise<Decision> {
    const { breakers, claims, gates, scalingEngine } = this.options;
    const { rule, trigger } = fired;
    const appId = trigger.app_id;
    const direction = directionOf(rule);
    // Others were posted since the decision, and a half-open breaker lets only one of them pass.
    const deniedUntilMs = breakers.deniedUntilMs(appId);
    if (deniedUntilMs !== null) return this.#held(fired, 'breaker-open', deniedUntilMs);
    breakers.posting(appId);

    const claim = await claims.claim(appId, direction);
    if (!claim.granted) {
      breakers.abandoned(appId);
      return this.#denied(fired, claim);
    }
    gates.posted(appId);
    const result = await scalingEngine.post(trigger);
    breakers.record(appId, result);
    const pauses = gates.keep(appId, rule, result);
    this.#report(fired, result);
    await claims.complete(appId, direction, pauses);
    return fired;
  }

  #denied(fired: Fired, claim: Extract<ClaimResult, { granted: false }>): Decision {
    const { gates } = this.options;
    const appId = fired.trigger.app_id;
    const { reason, untilMs } = claim;
    if (untilMs !== undefined) {
      if (reason === 'cooling-down') gates.coolDown(appId, untilMs);
      if (reason === 'posted-elsewhere') gates.postedElsewhere(appId, untilMs);
      if (reason === 'at-limit-backoff') gates.ignoredElsewhere(appId, fired.rule, untilMs);
    }
    return this.#held(fired, reason === 'posted-elsewhere' ? 'posted-recently' : reason, untilMs);
  }

  #held(fired: Fired, reason: HeldReason, untilMs?: number): Decision {
    this.options.metrics.triggers.inc({ result: `held-${reason}` });
    return heldBy([untilMs === undefined ? { reason } : { reason, untilMs }], fired.rule);
  }

  #report(fired: Fired, result: TriggerResult): void {
    const { logger, metrics, mode } = this.options;
    const { trigger, value } = fired;
    metrics.triggers.inc({ result: result.kind === 'failed' ? result.fault : result.kind });
    const facts = {
      appId: trigger.app_id,
      metricType: trigger.metric_type,
      value: value?.toString(),
      unit: trigger.metric_unit,
      operator: trigger.operator,
      threshold: trigger.threshold.toString(),
      breachDurationSecs: trigger.breach_duration_secs,
      adjustment: trigger.adjustment,
    };
    if (result.kind === 'scaled') {
      const { adjustment: instancesAdded, coolDownUntilMs } = result;
      const coolDown = coolDownUntilMs === null ? {} : { coolDownUntil: isoTime(coolDownUntilMs) };
      // The scaling engine says by how many instances, but not from how many.
      logger.info(mode === 'act' ? 'scaled' : 'would-scale', { ...facts, instancesAdded, ...coolDown });
    } else if (result.kind === 'failed') {
      const { fault, message } = result;
      this.#repeated.error(
        'trigger-failed',
        new Error(message),
        { ...facts, fault },
        `trigger-failed ${fault}`,
      );
    } else {
      logger.debug(result.kind, facts);
    }
  }
}
