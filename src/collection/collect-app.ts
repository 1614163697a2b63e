import type { Collector } from './authorized-collector.js';
import { sumOfCosts } from './cost.js';
import type { CollectionCost, CollectionResult, Failed, MetricOutcome } from './job.js';
import { queryApart } from './query-apart.js';
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
  readonly cost: CollectionCost;
  /** Instances whose gauges were counted; 0 where no gauges were needed. */
  readonly instances: number;
}

/**
 * Collects everything that one app's rules need: one read for all gauges, one query per http metric type, and where a
 * query came back empty a proof that the app is known. Metric types fail one by one. Never rejects.
 */
export async function collectApp(request: RoundRequest, collector: Collector): Promise<AppCollection> {
  const jobs = jobsOf(request);
  const [read, ...queries] = await Promise.all([
    jobs.read && collector.run(jobs.read),
    ...jobs.queries.map((job) => queryApart(job, collector)),
  ]);
  const costs = [...(read ? [read.cost] : []), ...queries.map(({ cost }) => cost)];
  const outcomes = new Map<string, MetricOutcome>();
  for (const metricType of jobs.read?.gaugeTypes ?? []) {
    outcomes.set(metricType, gaugeOutcome(metricType, read));
  }

  const httpOutcomes = queries.flatMap((query) => [...query.outcomes.values()]);
  let presence: Presence | null = presenceFromRead(request, read);
  if (presence === null && httpOutcomes.some(({ kind }) => kind === 'empty')) {
    const probe = await collector.run(probeJob(request));
    presence = presenceFromProbe(probe);
    costs.push(probe.cost);
  }
  for (const [index, { metricType }] of jobs.queries.entries()) {
    const outcome = httpOutcomes[index] ?? leftOut(metricType);
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
