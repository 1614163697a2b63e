import type { StoredEnvelope } from './envelope.js';
import { hasFault } from './exchange.js';
import type { ActiveFault } from './faults.js';
import type { LogCacheStore, ReadParameters } from './log-cache-store.js';
import type { PromqlResult } from './promql/evaluate.js';

/* What log-cache answers while faults are in force, whatever the transport. */

/** One page. Throws ReadRefused. */
export function pageUnder(
  faults: readonly ActiveFault[],
  store: Pick<LogCacheStore, 'read'>,
  parameters: ReadParameters,
): StoredEnvelope[] {
  const stored = hasFault(faults, 'empty') ? [] : store.read(parameters);
  return hasFault(faults, 'nan') ? stored.map(withNaN) : stored;
}

/** Samples or series in the result of a query. */
export function itemsIn(result: PromqlResult): number {
  switch (result.type) {
    case 'vector':
      return result.samples.length;
    case 'matrix':
      return result.series.length;
    case 'scalar':
      return 1;
  }
}

function withNaN(envelope: StoredEnvelope): StoredEnvelope {
  if (envelope.body.type !== 'GAUGE') return envelope;
  const metrics = Object.entries(envelope.body.metrics).map(
    ([name, { unit }]) => [name, { unit, value: NaN }] as const,
  );
  return { ...envelope, body: { type: 'GAUGE', metrics: Object.fromEntries(metrics) } };
}
