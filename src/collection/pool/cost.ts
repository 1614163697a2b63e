import type { CollectionCost } from './job.js';

export function noCost(): CollectionCost {
  return { requests: 0, pages: 0, envelopes: 0, bytes: 0, droppedSamples: 0 };
}

export function sumOfCosts(costs: readonly CollectionCost[]): CollectionCost {
  const sum = noCost();
  for (const cost of costs) {
    sum.requests += cost.requests;
    sum.pages += cost.pages;
    sum.envelopes += cost.envelopes;
    sum.bytes += cost.bytes;
    sum.droppedSamples += cost.droppedSamples;
  }
  return sum;
}
