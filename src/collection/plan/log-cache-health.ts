import type { Logger } from '../../observability/logger.js';
import type { Collector } from './authorized-collector.js';
import type { CollectionResult, Failed, HttpOutcome, UnauthorizedJob } from '../pool/job.js';

/** After as many failed jobs in a row the cause is not the apps, but log-cache, the way to it, or our rights. */
const failuresThatSpeak = 10;
/** Before the first success the configuration is the likely cause. An operator with three apps should hear of it soon. */
const failuresThatSpeakAtFirst = 3;

export interface LogCacheHealth {
  /** Whether log-cache served one of the last jobs; true before the first. */
  isUp(): boolean;
}

export interface HealthWatchOptions {
  readonly logger: Pick<Logger, 'error' | 'info'>;
  /** Names the client and the scope that it lacks, where that is known. */
  readonly explain: () => Promise<string | null>;
}

/**
 * Logs once when log-cache serves no app any more. Rejections have an event of their own: log-cache's auth proxy
 * responds with 404 where others respond with 403, so nothing else tells an operator that the client lacks a scope.
 */
export function watchLogCache(
  collector: Collector,
  { logger, explain }: HealthWatchOptions,
): { collector: Collector; health: LogCacheHealth } {
  /** Since the last success. */
  let rejections = 0;
  let failures = 0;
  let everServed = false;
  const said = new Set<'rejected' | 'failed'>();

  const areTooMany = (count: number) => count >= (everServed ? failuresThatSpeak : failuresThatSpeakAtFirst);

  function watch(job: UnauthorizedJob, result: CollectionResult): void {
    const failed = failureOf(result);
    // The Cloud Controller may be the cause; the query gate reports that.
    if (job.kind === 'query' && failed?.failure === 'timeout') return;
    if (!failed) {
      if (said.size > 0) logger.info('log-cache-serves-again', { failures });
      rejections = failures = 0;
      everServed = true;
      said.clear();
      return;
    }
    failures++;
    if (failed.failure === 'unauthorized') {
      rejections++;
      if (areTooMany(rejections) && !said.has('rejected')) {
        said.add('rejected');
        void sayWhyRejected();
      }
    } else if (areTooMany(failures) && !said.has('failed') && failed.failure !== 'no-token') {
      // Without a token nothing was asked; the token source reports why there is none.
      said.add('failed');
      const error = new Error(`log-cache served none of the last ${failures} jobs: ${failed.message}`);
      logger.error('log-cache-serves-no-app', error, { failure: failed.failure, failures });
    }
  }

  async function sayWhyRejected(): Promise<void> {
    const count = rejections;
    const cause = await explain().catch(() => null);
    if (!said.has('rejected')) return; // served meanwhile
    const error = new Error(
      cause ??
        'log-cache refuses every app (404). Its auth proxy answers so for tokens it cannot verify and for clients without the scope logs.admin or doppler.firehose',
    );
    logger.error('log-cache-refuses-every-app', error, { refusals: count });
  }

  return {
    collector: {
      // Not async: each job waits here, and an async function keeps more memory than a callback.
      run: (job) =>
        collector.run(job).then((result) => {
          watch(job, result);
          return result;
        }),
    },
    health: { isUp: () => !areTooMany(failures) },
  };
}

/** The failure of a job that served nothing at all. */
function failureOf(result: CollectionResult): Failed | null {
  if (result.kind === 'failed') return result;
  if (result.kind === 'oldest' || result.kind === 'timers' || result.kind === 'instances') return null;
  const outcomes: readonly HttpOutcome[] = Object.values(result.outcomes);
  const failures = outcomes.filter((outcome) => outcome.kind === 'failed');
  return failures.length === outcomes.length ? (failures[0] ?? null) : null;
}
