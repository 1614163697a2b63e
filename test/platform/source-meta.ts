import type { SimulatedApp } from './app-model.js';
import type { Apps } from './apps.js';
import type { LogCacheStore } from './log-cache-store.js';
import { countModelEnvelopes } from './model-envelopes.js';

/** What log-cache tells of a source without its envelopes. */
export interface SourceMeta {
  readonly count: number;
  /** How many gave way to others, or were lost. */
  readonly expired: number;
  /** µs since the epoch. */
  readonly oldestUs: number;
  readonly newestUs: number;
}

const everything = { types: null, nameFilter: null };

/** Every source of which log-cache holds something; those of a node that is down are missing. */
export function metaOfSources(store: LogCacheStore, apps: Apps): Map<string, SourceMeta> {
  const ids = new Set([...store.injectedSources, ...[...apps].map(({ guid }) => guid)]);
  const metas = new Map<string, SourceMeta>();
  for (const id of [...ids].sort()) {
    const meta = metaOf(store, id, apps.get(id));
    if (meta) metas.set(id, meta);
  }
  return metas;
}

/** What was put in is counted, and what an app's model adds is reckoned from its rates. */
function metaOf(store: LogCacheStore, id: string, app: SimulatedApp | undefined): SourceMeta | undefined {
  const injected = store.heldInjected(id, everything, -Infinity, Infinity);
  const ends = (app ? [false, true] : []).flatMap((descending) => endOf(store, id, descending));
  const timesUs = [...injected.map(({ timestampUs }) => timestampUs), ...ends].sort((a, b) => a - b);
  const [oldestUs, newestUs] = [timesUs[0], timesUs.at(-1)];
  if (oldestUs === undefined || newestUs === undefined) return undefined;
  const computed = (fromUs: number, toUs: number) => (app ? countModelEnvelopes(app, fromUs, toUs) : 0);
  return {
    count: injected.length + computed(oldestUs, store.visibleUntilUs),
    expired: store.evicted(id) + (app ? computed(app.bornUs, store.heldSinceUs(id, app.bornUs)) : 0),
    oldestUs,
    newestUs,
  };
}

function endOf(store: LogCacheStore, sourceId: string, descending: boolean): number[] {
  const all = { startNs: 0n, endNs: 0n, types: [], nameFilter: '' };
  const [envelope] = store.read({ ...all, sourceId, limit: 1, descending });
  return envelope ? [envelope.timestampUs] : [];
}
