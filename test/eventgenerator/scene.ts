import type { UnauthorizedJob } from '../../src/collection/pool/job.js';
import { sleep, systemClock } from '../../src/util/clock.js';
import type { ProcessContext } from '../../src/observability/process-context.js';
import { createMetrics } from '../../src/observability/metrics.js';
import { createReleasers, type Releasers } from '../../src/util/releasers.js';
import { recordingLogger, type LogLine } from '../support/recording-logger.js';

/** What a part is opened with, and what it logged. */
export interface Scene {
  readonly context: ProcessContext;
  readonly releasers: Releasers;
  readonly lines: readonly LogLine[];
  events(): string[];
}

/** ProcessContext in real time. */
export function makeScene(trust: ProcessContext['trust'] = {}): Scene {
  const { logger, lines } = recordingLogger();
  return {
    context: { clock: systemClock, logger, metrics: createMetrics(), trust },
    releasers: createReleasers(logger),
    lines,
    events: () => lines.map(({ event }) => event),
  };
}

/** Lets everything else run until the condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await sleep(systemClock, 2);
}

/** Reads cpu of an app, as the collector is asked to. */
export function readJob(appId: string): UnauthorizedJob {
  return {
    kind: 'read',
    appId,
    startNs: 1_000n,
    endNs: 2_000n,
    gaugeTypes: ['cpu'],
    presenceSinceNs: 1_000n,
    settled: null,
  };
}
