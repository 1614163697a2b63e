import { errorText } from '../../util/errors.js';
import type { CollectorPool } from '../pool/collector-pool.js';
import { noCost, sumOfCosts } from '../pool/cost.js';
import type { CollectionResult, UnauthorizedJob } from '../pool/job.js';

/** Where the Authorization header for log-cache comes from. */
export interface LogCacheTokens {
  /** The header's value; rejects when UAA gives no token. */
  authorization(): Promise<string>;
  /** A newer value after log-cache rejected this one for these apps; null where there is none now. */
  refreshAfterRejection(rejected: string, appIds: readonly string[]): Promise<string | null>;
  /** log-cache served these apps with this value: earlier rejections were not the apps' own. */
  accepted(authorization: string, appIds: readonly string[]): void;
}

/** Runs jobs for callers that know nothing of tokens. */
export interface Collector {
  /** Never rejects. */
  run(job: UnauthorizedJob): Promise<CollectionResult>;
}

/**
 * Fills in the token. If log-cache rejects it, the collector asks once for a newer one and runs the job once more; a
 * second rejection is the job's own failure. `tokens: null` is for gRPC, which needs a client certificate only.
 */
export function createAuthorizedCollector(
  pool: Pick<CollectorPool, 'run'>,
  tokens: LogCacheTokens | null,
): Collector {
  if (tokens === null) return { run: (job) => pool.run({ ...job, authorization: null }) };

  const noteServed = (job: UnauthorizedJob, result: CollectionResult, authorization: string) => {
    const served = appsWith(job, result, (failure) => failure === null);
    if (served.length > 0) tokens.accepted(authorization, served);
  };

  return {
    async run(job) {
      let authorization: string;
      try {
        authorization = await tokens.authorization();
      } catch (error) {
        return { kind: 'failed', failure: 'no-token', message: errorText(error), cost: noCost() };
      }
      const first = await pool.run({ ...job, authorization });
      noteServed(job, first, authorization);
      const rejected = appsWith(job, first, (failure) => failure === 'unauthorized');
      if (rejected.length === 0) return first;
      const newer = await tokens.refreshAfterRejection(authorization, rejected).catch(() => null);
      if (newer === null) return first;
      const second = await pool.run({ ...job, authorization: newer });
      noteServed(job, second, newer);
      return { ...second, cost: sumOfCosts([first.cost, second.cost]) };
    },
  };
}

/** The apps of a job whose failure, or null where they were served, is of a kind. */
function appsWith(
  job: UnauthorizedJob,
  result: CollectionResult,
  isWanted: (failure: string | null) => boolean,
): readonly string[] {
  const appIds = job.kind === 'query' ? job.appIds : [job.appId];
  if (result.kind !== 'query')
    return isWanted(result.kind === 'failed' ? result.failure : null) ? appIds : [];
  return appIds.filter((appId) => {
    const outcome = result.outcomes[appId];
    return outcome !== undefined && isWanted(outcome.kind === 'failed' ? outcome.failure : null);
  });
}
