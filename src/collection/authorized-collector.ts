import type { CollectorPool } from './collector-pool.js';
import { noCost, sumOfCosts } from './cost.js';
import type { CollectionJob, CollectionResult, QueryJob, ReadJob } from './job.js';

/** Where the Authorization header for log-cache comes from. */
export interface TokenSource {
  /** The header's value; rejects when UAA gives no token. */
  authorization(): Promise<string>;
  /** A newer header value after log-cache refused this one; null when there is none to be had now. */
  refreshAfterRejection(rejected: string): Promise<string | null>;
}

export type UnauthorizedJob = Omit<ReadJob, 'authorization'> | Omit<QueryJob, 'authorization'>;

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
  tokens: TokenSource | null,
): Collector {
  if (tokens === null) return { run: (job) => pool.run({ ...job, authorization: null }) };

  return {
    async run(job) {
      let authorization: string;
      try {
        authorization = await tokens.authorization();
      } catch (error) {
        return { kind: 'failed', failure: 'no-token', message: (error as Error).message, cost: noCost() };
      }
      const first = await pool.run({ ...job, authorization } satisfies CollectionJob);
      if (!wasRefused(first)) return first;
      const newer = await tokens.refreshAfterRejection(authorization).catch(() => null);
      if (newer === null) return first;
      const second = await pool.run({ ...job, authorization: newer } satisfies CollectionJob);
      return { ...second, cost: sumOfCosts([first.cost, second.cost]) };
    },
  };
}

function wasRefused(result: CollectionResult): boolean {
  switch (result.kind) {
    case 'failed':
      return result.failure === 'unauthorized';
    case 'query':
      return Object.values(result.outcomes).some(
        (outcome) => outcome.kind === 'failed' && outcome.failure === 'unauthorized',
      );
    case 'read':
      return false;
  }
}
