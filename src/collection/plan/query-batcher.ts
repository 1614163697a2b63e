import type { Clock, Timer } from '../../util/clock.js';
import { canShareQuery } from '../../log-cache/promql.js';
import { AppsQueriedAlone } from './queried-alone.js';
import type { Collector } from './authorized-collector.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type { HttpOutcome } from '../worker/http-aggregation.js';
import type { CollectionCost, QueryJob } from '../pool/job.js';
import { mayBeCausedByOneApp, splitQuery, timedOut, tookTooLong } from './split-query.js';
import type { QueryHealth } from './query-gate.js';
import { TimerFallback } from './timer-fallback.js';

/** One http metric type of one app. */
export interface HttpQuestion extends Pick<QueryJob, 'metricType' | 'timeSecs' | 'windowSecs'> {
  readonly appId: string;
}

interface HttpAnswer {
  readonly outcome: HttpOutcome;
  /** What several apps share is in the answer of one of them. */
  readonly cost: CollectionCost;
}

export interface QueryBatcher {
  /** Never rejects. */
  ask(question: HttpQuestion): Promise<HttpAnswer>;
}

/**
 * log-cache reads the apps of a query one after the other, each within 5 s, and ends the query after 10 s: more apps
 * would fail together oftener than they save a request.
 */
const maxAppsPerQuery = 10;
/** Of ids in UTF-8, of which a URL takes up to three times as many. Ten GUIDs have 360. */
const maxIdBytes = 1000;
/** Cycles of one slot of the schedule start in one go; waiting longer would only delay them. */
const gatherMs = 10;

interface Batch {
  readonly question: HttpQuestion;
  readonly asked: { appId: string; resolve: (answer: Promise<HttpAnswer>) => void }[];
  idBytes: number;
  readonly timer: Timer;
}

/**
 * Puts the questions of apps that are due at the same time into one query: each query costs log-cache a request to
 * Cloud Controller, and both sides the work for a request. Where the query of an app takes too long its timers are read.
 */
export function createQueryBatcher(collector: Collector, queries: QueryHealth, clock: Clock): QueryBatcher {
  /** Those that wait: one for each kind of question that is asked at the moment. */
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
      const answer = { outcome: outcomeOf(appId, outcomes), cost: index === 0 ? cost : noCost() };
      resolve(orTimers({ ...batch.question, appId }, answer, appIds.length === 1));
    }
  }

  /**
   * Where every app fails it is log-cache that is the trouble, which more queries would only make worse. Where it gave no
   * answer in time the apps may have been too much for one query together, unless all queries hang.
   */
  function noteCulprits(outcomes: ReadonlyMap<string, HttpOutcome>): void {
    const culprits = [...outcomes].filter(([, outcome]) => mayBeCausedByOneApp(outcome));
    const tooMuch = queries.isUp() && culprits.every(([, outcome]) => timedOut(outcome));
    if (culprits.length === outcomes.size && !tooMuch) return;
    for (const [appId] of culprits) alone.add(appId);
  }

  async function askAlone({ appId, ...question }: HttpQuestion): Promise<HttpAnswer> {
    const job = { kind: 'query', ...question, appIds: [appId] } as const;
    const { outcomes, cost } = await splitQuery(job, collector);
    const outcome = outcomeOf(appId, outcomes);
    if (tookTooLong(outcome) && alone.has(appId)) alone.add(appId);
    return orTimers({ ...question, appId }, { outcome, cost }, true);
  }

  /** What log-cache gave up was asked for alone in the end; what had no answer may have been too much together. */
  async function orTimers(
    question: HttpQuestion,
    answer: HttpAnswer,
    wasAlone: boolean,
  ): Promise<HttpAnswer> {
    const { outcome, cost } = answer;
    if (outcome.kind !== 'failed') timers.queryAnswered(question.appId);
    const isTheApps = timedOut(outcome) ? wasAlone && queries.isUp() : tookTooLong(outcome);
    if (!isTheApps || !timers.queryTookTooLong(question)) return answer;
    const read = await timers.read(question);
    return { outcome: read.outcome ?? outcome, cost: sumOfCosts([cost, read.cost]) };
  }

  async function askTimers(question: HttpQuestion): Promise<HttpAnswer> {
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

function outcomeOf(appId: string, outcomes: ReadonlyMap<string, HttpOutcome>): HttpOutcome {
  return (
    outcomes.get(appId) ?? { kind: 'failed', failure: 'thread', message: 'the collector left the app out' }
  );
}
