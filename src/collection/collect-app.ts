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
  type RoundJobs,
  type RoundRequest,
  settleEmpty,
} from './round-outcomes.js';
import { SettledWindows } from './settled-windows.js';

/** What one round found out about one app. */
export interface AppCollection {
  /** One outcome per metric type that the rules need. */
  readonly outcomes: ReadonlyMap<string, MetricOutcome>;
  /** Of queries that several apps share, one app has the whole cost. */
  readonly cost: CollectionCost;
  /** Instances whose gauges were read in this round; 0 where no gauges were needed. For information only. */
  readonly instances: number;
}

export interface AppCollector {
  /** Never rejects. */
  collect(request: RoundRequest): Promise<AppCollection>;
}

/** What the rounds of all apps have in common. */
interface Tools {
  readonly collector: Collector;
  readonly queries: QueryBatcher;
  readonly settledWindows: SettledWindows;
}

/**
 * Collects apps one by one, but lets those that are due at the same time share queries, and lets each app read on where
 * its round before has left off.
 */
export function createAppCollector(collector: Collector, clock: Clock): AppCollector {
  const queries = createQueryBatcher(collector, clock);
  const tools = { collector, queries, settledWindows: new SettledWindows() };
  return { collect: (request) => collectApp(request, tools) };
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, and where a
 * query came back empty a proof that the app is known. Metric types fail one by one.
 */
async function collectApp(request: RoundRequest, tools: Tools): Promise<AppCollection> {
  const jobs = jobsOf(request);
  const [read, ...answers] = await Promise.all([
    jobs.read && readOn(jobs.read, tools),
    ...jobs.questions.map((question) => tools.queries.ask(question)),
  ]);
  const costs = [...(read ? [read.cost] : []), ...answers.map(({ cost }) => cost)];
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    outcomes.set(metricType, gaugeOutcome(metricType, read));
  }

  let presence: Presence | null = presenceFromRead(read);
  if (presence === null && answers.some(({ outcome }) => outcome.kind === 'empty')) {
    const probe = await tools.collector.run(probeJob(request));
    presence = presenceFromProbe(probe);
    costs.push(probe.cost);
  }
  for (const [index, { metricType }] of jobs.questions.entries()) {
    const outcome = answers[index]?.outcome ?? leftOut(metricType);
    outcomes.set(metricType, settleEmpty(metricType, outcome, presence ?? false));
  }
  return { outcomes, cost: sumOfCosts(costs), instances: read?.kind === 'read' ? read.instances : 0 };
}

async function readOn(
  job: NonNullable<RoundJobs['read']>,
  { collector, settledWindows }: Tools,
): Promise<CollectionResult> {
  const result = await collector.run({ ...job, settled: settledWindows.of(job) });
  if (result.kind === 'read') settledWindows.keep(job, result.settled);
  return result;
}

function gaugeOutcome(metricType: string, read: CollectionResult | null): MetricOutcome {
  if (read?.kind === 'failed') return { kind: 'failed', failure: read.failure, message: read.message };
  return (read?.kind === 'read' ? read.outcomes[metricType] : undefined) ?? leftOut(metricType);
}

function leftOut(metricType: string): Failed {
  return { kind: 'failed', failure: 'thread', message: `the collector left ${metricType} out` };
}
