import type { Logger } from '../../observability/logger.js';
import type { Collector, UnauthorizedJob } from './authorized-collector.js';
import type { CollectionResult, Failed, MetricOutcome } from '../pool/job.js';

/** So many jobs in a row without an answer: it is not the apps, it is log-cache, the way to it, or what we may read. */
const failuresThatSpeak = 10;
/**
 * Before the first answer it is most likely the configuration, and whoever has three apps should not have to wait for
 * minutes to hear of it. Too early costs one line, which is taken back with the first answer.
 */
const failuresThatSpeakAtFirst = 3;

export interface LogCacheHealth {
  /** Whether log-cache served one of the last jobs; true before the first. */
  isUp(): boolean;
}

export interface HealthWatchOptions {
  readonly logger: Pick<Logger, 'error' | 'info'>;
  /** Says which client lacks which scope, where that can be told. */
  readonly explain: () => Promise<string | null>;
}

/**
 * Looks at what comes back from a collector, and says once, readably, when log-cache serves nobody any more. Refusals
 * are told apart from other failures: log-cache's auth proxy answers 404 where others answer 403, so nothing else
 * tells an operator that the client lacks a scope.
 */
export function watchLogCache(
  collector: Collector,
  { logger, explain }: HealthWatchOptions,
): { collector: Collector; health: LogCacheHealth } {
  /** In a row, without an answer between them. */
  let refusals = 0;
  let failures = 0;
  let everServed = false;
  const said = new Set<'refused' | 'failed'>();

  const areTooMany = (count: number) => count >= (everServed ? failuresThatSpeak : failuresThatSpeakAtFirst);

  function watch(job: UnauthorizedJob, result: CollectionResult): void {
    const failed = failureOf(result);
    // Cloud Controller stands in the way of queries alone; who keeps them back then says so.
    if (job.kind === 'query' && failed?.failure === 'timeout') return;
    if (!failed) {
      if (said.size > 0) logger.info('log-cache-serves-again', { failures });
      refusals = failures = 0;
      everServed = true;
      said.clear();
      return;
    }
    failures++;
    if (failed.failure === 'unauthorized') {
      refusals++;
      if (areTooMany(refusals) && !said.has('refused')) {
        said.add('refused');
        void sayWhyRefused();
      }
    } else if (areTooMany(failures) && !said.has('failed') && failed.failure !== 'no-token') {
      // Without a token nothing was asked; why there is none is the token source's to say.
      said.add('failed');
      const error = new Error(`log-cache served none of the last ${failures} jobs: ${failed.message}`);
      logger.error('log-cache-serves-no-app', error, { failure: failed.failure, failures });
    }
  }

  async function sayWhyRefused(): Promise<void> {
    const count = refusals;
    const cause = await explain().catch(() => null);
    if (!said.has('refused')) return; // served meanwhile
    const error = new Error(
      cause ??
        'log-cache refuses every app (404). Its auth proxy answers so for tokens it cannot verify and for clients without the scope logs.admin or doppler.firehose',
    );
    logger.error('log-cache-refuses-every-app', error, { refusals: count });
  }

  return {
    collector: {
      async run(job) {
        const result = await collector.run(job);
        watch(job, result);
        return result;
      },
    },
    health: { isUp: () => !areTooMany(failures) },
  };
}

/** The failure of a job that served nothing at all. */
function failureOf(result: CollectionResult): Failed | null {
  if (result.kind === 'failed') return result;
  if (result.kind === 'oldest' || result.kind === 'timers') return null;
  const outcomes: (MetricOutcome | { kind: 'empty' })[] = Object.values(result.outcomes);
  const served = outcomes.find((outcome) => outcome.kind !== 'failed');
  const [first] = outcomes;
  return served || first?.kind !== 'failed' ? null : first;
}
