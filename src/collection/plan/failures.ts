import type { CollectionResult, Failed } from '../pool/job.js';

const leftOut: Failed = {
  kind: 'failed',
  failure: 'thread',
  message: 'the collector left out what it was asked for',
};

/** Why a result has nothing of what was asked for. `doing` says in the message what failed: `reading http timers`. */
export function failureOf(result: CollectionResult | null, doing?: string): Failed {
  const { failure, message } = result?.kind === 'failed' ? result : leftOut;
  return { kind: 'failed', failure, message: doing === undefined ? message : `${doing}: ${message}` };
}
