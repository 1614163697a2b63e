import type { Clock } from '../../util/clock.js';
import { Semaphore } from '../../util/semaphore.js';
import type { Metrics } from '../../observability/metrics.js';
import type { RepeatedEvents } from '../../observability/repeated-events.js';
import type { Collector } from './authorized-collector.js';
import type { ConcurrencyLimit } from './concurrency-limit.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type { CollectionResult, HttpOutcome, QueryJob, TimersJob, UnauthorizedJob } from '../pool/job.js';
import { QueryBreaker } from './query-breaker.js';

export interface QueryGateOptions {
  readonly clock: Clock;
  readonly limit: ConcurrencyLimit;
  readonly events: Pick<RepeatedEvents, 'error' | 'info'>;
  readonly metrics: Pick<Metrics, 'queriesInFlight' | 'queryBreakerState' | 'timerReads'>;
  /** For the error: what may be the cause where queries hang and reads do not. */
  readonly likelyCause: string;
}

export interface QueryHealth {
  /** False while queries hang and only probes are sent. */
  isUp(): boolean;
}

/** `unclear`: the query did not reach log-cache. */
type Verdict = 'response' | 'timeout' | 'unclear';

/** A query that waits longer is close to the app's next cycle, which asks for newer values. */
const longestWaitMs = 20_000;

const stateValues = { closed: 0, 'half-open': 1, open: 2 } as const;

/** Lets reads pass, and queries while they have responses and there is a permit. */
export class QueryGate implements Collector, QueryHealth {
  readonly #breaker: QueryBreaker;
  /** Reads have permits of their own: only queries pass through the Cloud Controller, and may hang while reads do not. */
  readonly #permits: Semaphore;

  constructor(
    private readonly collector: Collector,
    private readonly options: QueryGateOptions,
  ) {
    const { clock, limit } = options;
    this.#breaker = new QueryBreaker(clock);
    this.#permits = new Semaphore(clock, () => limit.current);
  }

  isUp(): boolean {
    return this.#breaker.state === 'closed';
  }

  run(job: UnauthorizedJob): Promise<CollectionResult> {
    if (job.kind === 'query') return this.#query(job);
    if (job.kind === 'timers') return this.#readTimers(job);
    return this.collector.run(job);
  }

  async #readTimers(job: TimersJob): Promise<CollectionResult> {
    const result = await this.collector.run(job);
    this.options.metrics.timerReads.inc({ result: timerResult(result) });
    return result;
  }

  async #query(job: QueryJob): Promise<CollectionResult> {
    const { clock, limit, metrics } = this.options;
    const permitted = this.#breaker.permit();
    if (permitted === 'probe') return this.#probe(job);
    if (permitted === 'nothing') return this.#notAsked();
    if (this.#permits.isFull) limit.waited();
    if (!(await this.#permits.acquire({ timeoutMs: longestWaitMs }))) return this.#notAsked();
    metrics.queriesInFlight.set(this.#permits.taken);
    const startedMs = clock.monotonic();
    const result = await this.collector.run(job);
    const verdict = verdictOn(result);
    if (verdict === 'response') this.#noteResponse();
    else if (verdict === 'timeout' && this.isUp()) {
      this.#breaker.timedOut();
      this.#reportIfHanging();
    }
    // After the breaker, so that a query that opens it lets no other start.
    limit.finished(clock.monotonic() - startedMs, verdict === 'response');
    this.#permits.release();
    metrics.queriesInFlight.set(this.#permits.taken);
    return result;
  }

  /** Asks for one app only: several could be too much for one query. */
  async #probe(job: QueryJob): Promise<CollectionResult> {
    this.#noteState();
    const first = await this.collector.run({ ...job, appIds: job.appIds.slice(0, 1) });
    if (verdictOn(first) === 'response') {
      this.#noteResponse();
    } else {
      this.#breaker.probeFailed();
      this.#reportIfHanging();
    }
    if (job.appIds.length === 1) return first;
    const result = await this.#query(job);
    return { ...result, cost: sumOfCosts([first.cost, result.cost]) };
  }

  #noteResponse(): void {
    const wasHanging = !this.isUp();
    this.#breaker.responded();
    if (wasHanging) this.options.events.info('queries-answered-again');
    this.#noteState();
  }

  #reportIfHanging(): void {
    this.#noteState();
    if (this.isUp()) return;
    this.#permits.turnAway();
    const error = new Error(
      `PromQL queries have no answer; rules on throughput and responsetime see no new values. ${this.options.likelyCause}`,
    );
    this.options.events.error('queries-hang', error);
  }

  #noteState(): void {
    this.options.metrics.queryBreakerState.set(stateValues[this.#breaker.state]);
  }

  #notAsked(): CollectionResult {
    const message = this.isUp() ? 'there was no place for a query' : 'no query has an answer';
    return { kind: 'failed', failure: 'not-asked', message, cost: noCost() };
  }
}

function timerResult(result: CollectionResult): 'read' | 'too-many' | 'failed' {
  if (result.kind !== 'timers') return 'failed';
  return result.outcomes ? 'read' : 'too-many';
}

const unclear = new Set(['connection', 'no-token', 'thread', 'not-asked']);

function verdictOn(result: CollectionResult): Verdict {
  const outcomes: readonly HttpOutcome[] =
    result.kind === 'query' ? Object.values(result.outcomes) : result.kind === 'failed' ? [result] : [];
  const failures = outcomes.flatMap((outcome) => (outcome.kind === 'failed' ? [outcome.failure] : []));
  if (failures.length < outcomes.length || failures.length === 0) return 'response';
  if (failures.every((failure) => failure === 'timeout')) return 'timeout';
  return failures.every((failure) => unclear.has(failure)) ? 'unclear' : 'response';
}
