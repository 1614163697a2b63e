import type { Logger } from '../observability/logger.js';
import type { Collector } from './authorized-collector.js';
import type { CollectionResult, Failed, MetricOutcome } from './job.js';

/** So many jobs in a row refused, none served: it is not the apps, it is the client that may not read. */
const refusalsThatSpeak = 10;
/** So many jobs in a row without an answer: log-cache, or the way to it, is down. */
const failuresThatSpeak = 10;

export interface LogCacheHealth {
  /** Whether log-cache served one of the last jobs; true before the first. */
  isUp(): boolean;
}

export interface HealthWatchDeps {
  readonly logger: Logger;
  /** Says which client lacks which scope, where that can be told. */
  readonly explain: () => Promise<string | null>;
}

/**
 * Looks at what comes back from a collector. Says once, readably, when log-cache refuses every app: it answers 404
 * where others answer 403, so nothing else tells an operator that the client lacks a scope.
 */
export function watchRefusals(
  collector: Collector,
  { logger, explain }: HealthWatchDeps,
): { collector: Collector; health: LogCacheHealth } {
  let refusals = 0;
  let failures = 0;
  let said = false;

  function watch(result: CollectionResult): void {
    const failed = failureOf(result);
    if (!failed) {
      if (said) logger.info('log-cache-serves-again');
      refusals = failures = 0;
      said = false;
      return;
    }
    failures++;
    if (failed.failure !== 'unauthorized') return;
    refusals++;
    if (refusals >= refusalsThatSpeak && !said) {
      said = true;
      void sayWhy();
    }
  }

  async function sayWhy(): Promise<void> {
    const cause = await explain().catch(() => null);
    const error = new Error(
      cause ??
        'log-cache refuses every app (404). Its auth proxy answers so for tokens it cannot verify and for clients without the scope logs.admin or doppler.firehose',
    );
    logger.error('log-cache-refuses-every-app', error, { refusals });
  }

  return {
    collector: {
      async run(job) {
        const result = await collector.run(job);
        watch(result);
        return result;
      },
    },
    health: { isUp: () => failures < failuresThatSpeak },
  };
}

/** The failure of a job that served nothing at all. */
function failureOf(result: CollectionResult): Failed | null {
  if (result.kind === 'failed') return result;
  const outcomes: (MetricOutcome | { kind: 'empty' })[] = Object.values(result.outcomes);
  const served = outcomes.find((outcome) => outcome.kind !== 'failed');
  const [first] = outcomes;
  return served || first?.kind !== 'failed' ? null : first;
}
