import type { Clock, Timer } from '../../util/clock.js';
import { canShareQuery } from '../../log-cache/promql.js';
import { AppsQueriedAlone } from './queried-alone.js';
import type { Collector } from './authorized-collector.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type { CollectionCost, HttpOutcome } from '../pool/job.js';
import type { HttpQuestion } from './collection-request.js';
import { failureOf } from './failures.js';
import { mayBeCausedByOneApp, splitQuery, timedOut, tookTooLong } from './split-query.js';
import type { QueryHealth } from './query-gate.js';
import { TimerFallback } from './timer-fallback.js';

interface HttpResponse {
  readonly outcome: HttpOutcome;
  /** Where several apps share a query, one of them has the whole cost. */
  readonly cost: CollectionCost;
}

/**
 * log-cache reads the apps of a query one after the other, each within 5 s, and ends the query after 10 s. With more
 * apps, queries would fail more often than they save a request.
 */
const maxAppsPerQuery = 10;
/** Of ids in UTF-8; in a URL they take up to three times as much. Ten GUIDs have 360 bytes. */
const maxIdBytes = 1000;
/** Cycles of one slot of the schedule start together; a longer wait would only delay them. */
const gatherMs = 10;

interface Batch {
  readonly question: HttpQuestion;
  readonly asked: { appId: string; resolve: (response: HttpResponse | Promise<HttpResponse>) => void }[];
  idBytes: number;
  readonly timer: Timer;
}

/**
 * Puts the questions of apps that are due at the same time into one query: each query costs log-cache a request to the
 * Cloud Controller, and both sides the work for a request. Where the query of an app takes too long, its timers are
 * read instead.
 */
export class QueryBatcher {
  /** Not sent yet. At most one for each metric type and window. */
  readonly #waiting: Batch[] = [];
  readonly #alone: AppsQueriedAlone;
  readonly #timers: TimerFallback;

  constructor(
    private readonly collector: Collector,
    private readonly queries: QueryHealth,
    private readonly clock: Clock,
  ) {
    this.#alone = new AppsQueriedAlone(clock);
    this.#timers = new TimerFallback(collector, clock);
  }

  /** Never rejects. */
  ask(question: HttpQuestion): Promise<HttpResponse> {
    const { appId } = question;
    if (this.#timers.areRead(appId, this.queries.isUp())) return this.#askTimers(question);
    const mustBeAlone = !canShareQuery(appId) || this.#alone.has(appId) || this.#timers.knows(appId);
    if (mustBeAlone) return this.#askAlone(question);
    const batch = this.#batchFor(question, Buffer.byteLength(appId));
    return new Promise((resolve) => {
      if (batch.asked.push({ appId, resolve }) >= maxAppsPerQuery) void this.#send(batch);
    });
  }

  #batchFor(question: HttpQuestion, idBytes: number): Batch {
    const found = this.#waiting.find((one) => goesWith(one.question, question));
    if (found && found.idBytes + idBytes <= maxIdBytes) {
      found.idBytes += idBytes;
      return found;
    }
    if (found) void this.#send(found);
    const timer = this.clock.setTimer(gatherMs, () => void this.#send(batch));
    const batch: Batch = { question, asked: [], idBytes, timer };
    this.#waiting.push(batch);
    return batch;
  }

  async #send(batch: Batch): Promise<void> {
    batch.timer.cancel();
    this.#waiting.splice(this.#waiting.indexOf(batch), 1);
    const { metricType, timeSecs, windowSecs } = batch.question;
    const appIds = [...new Set(batch.asked.map(({ appId }) => appId))];
    const job = { kind: 'query', metricType, timeSecs, windowSecs, appIds } as const;
    const { outcomes, cost } = await splitQuery(job, this.collector);
    this.#noteCulprits(outcomes);
    for (const [index, { appId, resolve }] of batch.asked.entries()) {
      const response = responseOf(appId, outcomes, index === 0 ? cost : noCost());
      resolve(this.#orTimers({ ...batch.question, appId }, response, appIds.length === 1));
    }
  }

  /**
   * If every app of a batch failed, log-cache is the cause, and more queries would only make that worse. If all timed
   * out, the apps may have been too many for one query, unless all queries hang.
   */
  #noteCulprits(outcomes: ReadonlyMap<string, HttpOutcome>): void {
    const culprits = [...outcomes].filter(([, outcome]) => mayBeCausedByOneApp(outcome));
    const tooMuch = this.queries.isUp() && culprits.every(([, outcome]) => timedOut(outcome));
    if (culprits.length === outcomes.size && !tooMuch) return;
    for (const [appId] of culprits) this.#alone.add(appId);
  }

  async #askAlone({ appId, ...question }: HttpQuestion): Promise<HttpResponse> {
    const job = { kind: 'query', ...question, appIds: [appId] } as const;
    const { outcomes, cost } = await splitQuery(job, this.collector);
    const response = responseOf(appId, outcomes, cost);
    if (tookTooLong(response.outcome) && this.#alone.has(appId)) this.#alone.add(appId);
    return this.#orTimers({ ...question, appId }, response, true);
  }

  /** A query that log-cache gave up was asked for this app alone in the end; one that timed out may have had more apps. */
  #orTimers(
    question: HttpQuestion,
    response: HttpResponse,
    wasAlone: boolean,
  ): HttpResponse | Promise<HttpResponse> {
    const { outcome } = response;
    if (outcome.kind !== 'failed') this.#timers.querySucceeded(question.appId);
    const isTheApps = timedOut(outcome) ? wasAlone && this.queries.isUp() : tookTooLong(outcome);
    const areTimersRead = isTheApps && this.#timers.queryTookTooLong(question);
    return areTimersRead ? this.#readTimersAfter(response, question) : response;
  }

  async #readTimersAfter({ outcome, cost }: HttpResponse, question: HttpQuestion): Promise<HttpResponse> {
    const read = await this.#timers.read(question);
    return { outcome: read.outcome ?? outcome, cost: sumOfCosts([cost, read.cost]) };
  }

  async #askTimers(question: HttpQuestion): Promise<HttpResponse> {
    const read = await this.#timers.read(question);
    if (read.outcome) return { outcome: read.outcome, cost: read.cost };
    const { outcome, cost } = await this.#askAlone(question);
    return { outcome, cost: sumOfCosts([read.cost, cost]) };
  }
}

function goesWith(a: HttpQuestion, b: HttpQuestion): boolean {
  return a.metricType === b.metricType && a.timeSecs === b.timeSecs && a.windowSecs === b.windowSecs;
}

function responseOf(
  appId: string,
  outcomes: ReadonlyMap<string, HttpOutcome>,
  cost: CollectionCost,
): HttpResponse {
  return { outcome: outcomes.get(appId) ?? failureOf(null), cost };
}
