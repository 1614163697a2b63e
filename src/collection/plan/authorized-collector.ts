import type { CollectorPool } from '../pool/collector-pool.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type {
  CollectionJob,
  CollectionResult,
  OldestJob,
  QueryJob,
  ReadJob,
  TimersJob,
} from '../pool/job.js';

/** Where the Authorization header for log-cache comes from. */
export interface LogCacheTokens {
  /** The header's value; rejects when UAA gives no token. */
  authorization(): Promise<string>;
  /** A newer header value after log-cache refused this one for these apps; null when there is none to be had now. */
  refreshAfterRejection(rejected: string, appIds: readonly string[]): Promise<string | null>;
  /** log-cache served these apps with this header value: their refusals before were no refusals of the apps. */
  accepted(authorization: string, appIds: readonly string[]): void;
}

export type UnauthorizedJob =
  | Omit<ReadJob, 'authorization'>
  | Omit<QueryJob, 'authorization'>
  | Omit<OldestJob, 'authorization'>
  | Omit<TimersJob, 'authorization'>;

/** Runs jobs for those who know nothing of tokens. */
export interface Collector {
  /** Never rejects. */
  run(job: UnauthorizedJob): Promise<CollectionResult>;
}

/**
 * Fills in the token, and when log-cache refuses it asks once for a newer one and runs the job once more. What the
 * new token is refused too is the job's own failure. `tokens: null` is for gRPC, where a certificate is all it takes.
 */
export function createAuthorizedCollector(
  pool: Pick<CollectorPool, 'run'>,
  tokens: LogCacheTokens | null,
): Collector {
  if (tokens === null) return { run: (job) => pool.run({ ...job, authorization: null }) };

  const attempt = async (job: UnauthorizedJob, authorization: string) => {
    const result = await pool.run({ ...job, authorization } satisfies CollectionJob);
    const served = appsServed(job, result);
    if (served.length > 0) tokens.accepted(authorization, served);
    return result;
  };

  return {
    async run(job) {
      let authorization: string;
      try {
        authorization = await tokens.authorization();
      } catch (error) {
        return { kind: 'failed', failure: 'no-token', message: (error as Error).message, cost: noCost() };
      }
      const first = await attempt(job, authorization);
      const refused = appsRefused(job, first);
      if (refused.length === 0) return first;
      const newer = await tokens.refreshAfterRejection(authorization, refused).catch(() => null);
      if (newer === null) return first;
      const second = await attempt(job, newer);
      return { ...second, cost: sumOfCosts([first.cost, second.cost]) };
    },
  };
}

function appsServed(job: UnauthorizedJob, result: CollectionResult): readonly string[] {
  if (result.kind === 'failed') return [];
  if (job.kind !== 'query') return [job.appId];
  if (result.kind !== 'query') return [];
  return job.appIds.filter((appId) => (result.outcomes[appId]?.kind ?? 'failed') !== 'failed');
}

function appsRefused(job: UnauthorizedJob, result: CollectionResult): readonly string[] {
  switch (result.kind) {
    case 'failed':
      if (result.failure !== 'unauthorized') return [];
      return job.kind === 'query' ? job.appIds : [job.appId];
    case 'query':
      return Object.entries(result.outcomes)
        .filter(([, outcome]) => outcome.kind === 'failed' && outcome.failure === 'unauthorized')
        .map(([appId]) => appId);
    case 'read':
    case 'oldest':
    case 'timers':
      return [];
  }
}
