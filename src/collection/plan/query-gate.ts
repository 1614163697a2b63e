import type { Clock } from '../../util/clock.js';
import { Semaphore } from '../../util/semaphore.js';
import type { Metrics } from '../../observability/metrics.js';
import type { RepeatedEvents } from '../../observability/repeated-events.js';
import type { Collector, UnauthorizedJob } from './authorized-collector.js';
import type { ConcurrencyLimit } from './concurrency-limit.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type { CollectionResult, HttpOutcome, JobFailed } from '../pool/job.js';
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

type QueryJob = Extract<UnauthorizedJob, { kind: 'query' }>;
/** `unclear`: the query did not reach log-cache. */
type Verdict = 'response' | 'timeout' | 'unclear';

/** A query that waits longer is close to the app's next cycle, which asks for newer values. */
const longestWaitMs = 20_000;

const stateValues = { closed: 0, 'half-open': 1, open: 2 } as const;

/** Lets reads pass, and queries while they have responses and there is a permit. */
export function gateQueries(
  collector: Collector,
  { clock, limit, events, metrics, likelyCause }: QueryGateOptions,
): { collector: Collector; queries: QueryHealth } {
  const breaker = new QueryBreaker(clock);
  // Reads have permits of their own: only queries pass through the Cloud Controller, and may hang while reads do not.
  const permits = new Semaphore(clock, () => limit.current);

  async function query(job: QueryJob): Promise<CollectionResult> {
    const permitted = breaker.permit();
    if (permitted === 'probe') return probe(job);
    if (permitted === 'nothing') return notAsked();
    if (permits.isFull) limit.waited();
    if (!(await permits.acquire({ timeoutMs: longestWaitMs }))) return notAsked();
    metrics.queriesInFlight.set(permits.taken);
    const startedMs = clock.monotonic();
    const result = await collector.run(job);
    const verdict = verdictOn(result);
    if (verdict === 'response') noteResponse();
    else if (verdict === 'timeout' && breaker.state === 'closed') {
      breaker.timedOut();
      reportIfHanging();
    }
    // After the breaker, so that a query that opens it lets no other start.
    limit.finished(clock.monotonic() - startedMs, verdict === 'response');
    permits.release();
    metrics.queriesInFlight.set(permits.taken);
    return result;
  }

  /** Asks for one app only: several could be too much for one query. */
  async function probe(job: QueryJob): Promise<CollectionResult> {
    noteState();
    const first = await collector.run({ ...job, appIds: job.appIds.slice(0, 1) });
    if (verdictOn(first) === 'response') {
      noteResponse();
    } else {
      breaker.probeFailed();
      reportIfHanging();
    }
    if (job.appIds.length === 1) return first;
    const result = await query(job);
    return { ...result, cost: sumOfCosts([first.cost, result.cost]) };
  }

  async function other(job: UnauthorizedJob): Promise<CollectionResult> {
    const result = await collector.run(job);
    if (job.kind === 'timers') metrics.timerReads.inc({ result: timerResult(result) });
    return result;
  }

  function noteResponse(): void {
    const wasHanging = breaker.state !== 'closed';
    breaker.responded();
    if (wasHanging) events.info('queries-answered-again');
    noteState();
  }

  function reportIfHanging(): void {
    noteState();
    if (breaker.state === 'closed') return;
    permits.turnAway();
    const error = new Error(
      `PromQL queries have no answer; rules on throughput and responsetime see no new values. ${likelyCause}`,
    );
    events.error('queries-hang', error);
  }

  function noteState(): void {
    metrics.queryBreakerState.set(stateValues[breaker.state]);
  }

  function notAsked(): JobFailed {
    const message = breaker.state === 'closed' ? 'there was no place for a query' : 'no query has an answer';
    return { kind: 'failed', failure: 'not-asked', message, cost: noCost() };
  }

  return {
    collector: { run: (job) => (job.kind === 'query' ? query(job) : other(job)) },
    queries: { isUp: () => breaker.state === 'closed' },
  };
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
