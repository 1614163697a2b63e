/** One reading of an endpoint in Prometheus' text format. */
export interface Scrape {
  /** The sum over all label sets, or over those that hold `label`, e.g. `result="value"`; 0 where there is none. */
  sum(name: string, label?: string): number;
  /** Cumulative counts by upper bound, ascending; the last bound is Infinity. */
  buckets(histogram: string): readonly Bucket[];
}

export interface Bucket {
  readonly atMost: number;
  readonly count: number;
}

const line = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$/;

export function parseScrape(text: string): Scrape {
  const samples: { name: string; labels: string; value: number }[] = [];
  for (const each of text.split('\n')) {
    const [, name, labels = '', value] = line.exec(each) ?? [];
    if (name !== undefined) samples.push({ name, labels, value: Number(value) });
  }
  return {
    sum: (name, label = '') =>
      samples
        .filter((sample) => sample.name === name && sample.labels.includes(label))
        .reduce((sum, { value }) => sum + value, 0),
    buckets: (histogram) =>
      samples
        .filter(({ name }) => name === `${histogram}_bucket`)
        .map(({ labels, value }) => ({
          atMost: Number((/le="([^"]+)"/.exec(labels)?.[1] ?? '').replace('+Inf', 'Infinity')),
          count: value,
        })),
  };
}

/** Increase of a counter or of a histogram's sum or count. */
export function increase(before: Scrape, after: Scrape, name: string): number {
  return after.sum(name) - before.sum(name);
}

/**
 * A quantile of what a histogram observed between two readings, interpolated within its bucket as Prometheus does;
 * Infinity where it lies beyond the last bound.
 */
export function quantileBetween(before: Scrape, after: Scrape, histogram: string, quantile: number): number {
  const earlier = before.buckets(histogram);
  const buckets = after
    .buckets(histogram)
    .map(({ atMost, count }, i) => ({ atMost, count: count - (earlier[i]?.count ?? 0) }));
  const rank = quantile * (buckets.at(-1)?.count ?? 0);
  let lower = { atMost: 0, count: 0 };
  for (const bucket of buckets) {
    if (bucket.count >= rank && bucket.count > 0) {
      const share = (rank - lower.count) / (bucket.count - lower.count);
      return bucket.atMost === Infinity ? Infinity : lower.atMost + share * (bucket.atMost - lower.atMost);
    }
    lower = bucket;
  }
  return NaN;
}
