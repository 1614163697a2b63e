import type { Clock } from '../clock.js';
import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from './cost.js';
import type { CollectionCost, CollectionResult, Failed, MetricOutcome } from './job.js';
import { createQueryBatcher, type QueryBatcher } from './query-batcher.js';
import {
  jobsOf,
  type Presence,
  presenceFromProbe,
  presenceFromRead,
  probeJob,
  type RoundRequest,
  settleEmpty,
} from './round-outcomes.js';

/** What one round found out about one app. */
export interface AppCollection {
  /** One outcome per metric type that the rules need. */
  readonly outcomes: ReadonlyMap<string, MetricOutcome>;
  /** Of queries that several apps share, one app has the whole cost. */
  readonly cost: CollectionCost;
  /** Instances whose gauges were counted; 0 where no gauges were needed. */
  readonly instances: number;
}

export interface AppCollector {
  /** Never rejects. */
  collect(request: RoundRequest): Promise<AppCollection>;
}

/** Collects apps one by one, and lets those that are due at the same time share queries. */
export function createAppCollector(collector: Collector, clock: Clock): AppCollector {
  const queries = createQueryBatcher(collector, clock);
  return { collect: (request) => collectApp(request, collector, queries) };
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, and where a
 * query came back empty a proof that the app is known. Metric types fail one by one.
 */
async function collectApp(
  request: RoundRequest,
  collector: Collector,
  queries: QueryBatcher,
): Promise<AppCollection> {
  const jobs = jobsOf(request);
  const [read, ...answers] = await Promise.all([
    jobs.read && collector.run(jobs.read),
    ...jobs.questions.map((question) => queries.ask(question)),
  ]);
  const costs = [...(read ? [read.cost] : []), ...answers.map(({ cost }) => cost)];
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    outcomes.set(metricType, gaugeOutcome(metricType, read));
  }

  let presence: Presence | null = presenceFromRead(request, read);
  if (presence === null && answers.some(({ outcome }) => outcome.kind === 'empty')) {
    const probe = await collector.run(probeJob(request));
    presence = presenceFromProbe(probe);
    costs.push(probe.cost);
  }
  for (const [index, { metricType }] of jobs.questions.entries()) {
    const outcome = answers[index]?.outcome ?? leftOut(metricType);
    outcomes.set(metricType, settleEmpty(metricType, outcome, presence ?? false));
  }
  return { outcomes, cost: sumOfCosts(costs), instances: read?.kind === 'read' ? read.instances : 0 };
}

function gaugeOutcome(metricType: string, read: CollectionResult | null): MetricOutcome {
  if (read?.kind === 'failed') return { kind: 'failed', failure: read.failure, message: read.message };
  return (read?.kind === 'read' ? read.outcomes[metricType] : undefined) ?? leftOut(metricType);
}

function leftOut(metricType: string): Failed {
  return { kind: 'failed', failure: 'thread', message: `the collector left ${metricType} out` };
}
