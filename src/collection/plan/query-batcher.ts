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

export interface QueryBatcher {
  /** Never rejects. */
  ask(question: HttpQuestion): Promise<HttpResponse>;
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
  readonly asked: { appId: string; resolve: (response: Promise<HttpResponse>) => void }[];
  idBytes: number;
  readonly timer: Timer;
}

/**
 * Puts the questions of apps that are due at the same time into one query: each query costs log-cache a request to the
 * Cloud Controller, and both sides the work for a request. Where the query of an app takes too long, its timers are
 * read instead.
 */
export function createQueryBatcher(collector: Collector, queries: QueryHealth, clock: Clock): QueryBatcher {
  /** Not sent yet. At most one for each metric type and window. */
  const waiting: Batch[] = [];
  const alone = new AppsQueriedAlone(clock);
  const timers = new TimerFallback(collector, clock);

  function open(question: HttpQuestion): Batch {
    const timer = clock.setTimer(gatherMs, () => void send(batch));
    const batch: Batch = { question, asked: [], idBytes: 0, timer };
    waiting.push(batch);
    return batch;
  }

  async function send(batch: Batch): Promise<void> {
    batch.timer.cancel();
    waiting.splice(waiting.indexOf(batch), 1);
    const { metricType, timeSecs, windowSecs } = batch.question;
    const appIds = [...new Set(batch.asked.map(({ appId }) => appId))];
    const job = { kind: 'query', metricType, timeSecs, windowSecs, appIds } as const;
    const { outcomes, cost } = await splitQuery(job, collector);
    noteCulprits(outcomes);
    for (const [index, { appId, resolve }] of batch.asked.entries()) {
      const response = responseOf(appId, outcomes, index === 0 ? cost : noCost());
      resolve(orTimers({ ...batch.question, appId }, response, appIds.length === 1));
    }
  }

  /**
   * If every app of a batch failed, log-cache is the cause, and more queries would only make that worse. If all timed
   * out, the apps may have been too many for one query, unless all queries hang.
   */
  function noteCulprits(outcomes: ReadonlyMap<string, HttpOutcome>): void {
    const culprits = [...outcomes].filter(([, outcome]) => mayBeCausedByOneApp(outcome));
    const tooMuch = queries.isUp() && culprits.every(([, outcome]) => timedOut(outcome));
    if (culprits.length === outcomes.size && !tooMuch) return;
    for (const [appId] of culprits) alone.add(appId);
  }

  async function askAlone({ appId, ...question }: HttpQuestion): Promise<HttpResponse> {
    const job = { kind: 'query', ...question, appIds: [appId] } as const;
    const { outcomes, cost } = await splitQuery(job, collector);
    const response = responseOf(appId, outcomes, cost);
    if (tookTooLong(response.outcome) && alone.has(appId)) alone.add(appId);
    return orTimers({ ...question, appId }, response, true);
  }

  /** A query that log-cache gave up was asked for this app alone in the end; one that timed out may have had more apps. */
  async function orTimers(
    question: HttpQuestion,
    response: HttpResponse,
    wasAlone: boolean,
  ): Promise<HttpResponse> {
    const { outcome, cost } = response;
    if (outcome.kind !== 'failed') timers.querySucceeded(question.appId);
    const isTheApps = timedOut(outcome) ? wasAlone && queries.isUp() : tookTooLong(outcome);
    if (!isTheApps || !timers.queryTookTooLong(question)) return response;
    const read = await timers.read(question);
    return { outcome: read.outcome ?? outcome, cost: sumOfCosts([cost, read.cost]) };
  }

  async function askTimers(question: HttpQuestion): Promise<HttpResponse> {
    const read = await timers.read(question);
    if (read.outcome) return { outcome: read.outcome, cost: read.cost };
    const { outcome, cost } = await askAlone(question);
    return { outcome, cost: sumOfCosts([read.cost, cost]) };
  }

  return {
    ask(question) {
      const { appId } = question;
      if (timers.areRead(appId, queries.isUp())) return askTimers(question);
      if (!canShareQuery(appId) || alone.has(appId) || timers.knows(appId)) return askAlone(question);
      const idBytes = Buffer.byteLength(appId);
      let batch = waiting.find((one) => goesWith(one.question, question));
      if (batch && batch.idBytes + idBytes > maxIdBytes) {
        void send(batch);
        batch = undefined;
      }
      const joined = batch ?? open(question);
      joined.idBytes += idBytes;
      return new Promise((resolve) => {
        if (joined.asked.push({ appId, resolve }) >= maxAppsPerQuery) void send(joined);
      });
    },
  };
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
