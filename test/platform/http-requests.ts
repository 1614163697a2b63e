import type { SimulatedApp } from './app-model.js';
import type { Container } from './container.js';
import { fraction, mix } from './deterministic.js';

/*
 * Requests are arithmetic, not objects: in every whole second each web instance answers a number of requests that
 * follows from its share of the load, at even distances and with response times spread symmetrically around their
 * mean. A whole second's count, sum and extremes are closed formulas; only a part of a second, or someone who wants
 * to see the envelopes, makes it count one by one.
 */

export type PeerType = 'Client' | 'Server';

export interface RequestTally {
  count: number;
  /** Of the durations, in µs. */
  sumUs: number;
  minUs: number;
  maxUs: number;
}

export interface SimulatedRequest {
  readonly timestampUs: number;
  readonly durationUs: number;
  readonly id: string;
}

/** More in one second from one instance would no longer fit between microseconds. */
const maxRequestsPerInstanceAndSecond = 50_000;
/** Requests end within this part of their second, so that what follows them still falls into it. */
const usedUsOfSecond = 990_000;
/** Fastest and slowest request differ from the mean by this fraction of it. */
const spread = 0.5;
/** gorouter emits its `Server` event this much after the `Client` event, with a duration longer by so much. */
const serverAfterUs = 7;
const serverLongerUs = 2_000;

/** Counts and sums an instance's requests whose timestamps are in [fromUs, toUs). */
export function tallyRequests(
  app: SimulatedApp,
  container: Container,
  peer: PeerType,
  fromUs: number,
  toUs: number,
): RequestTally {
  const tally: RequestTally = { count: 0, sumUs: 0, minUs: Infinity, maxUs: -Infinity };
  const longerUs = peer === 'Server' ? serverLongerUs : 0;
  for (let second = firstSecond(container, fromUs); second * 1e6 < endUs(container, toUs); second++) {
    const count = requestsInSecond(app, container, second);
    if (count === 0) continue;
    const meanUs = meanDurationUs(app, second) + longerUs;
    if (second * 1e6 >= fromUs && (second + 1) * 1e6 <= toUs) {
      const reach = deviationUs(meanUs - longerUs, count - 1, count);
      tally.count += count;
      tally.sumUs += count * meanUs;
      tally.minUs = Math.min(tally.minUs, meanUs - reach);
      tally.maxUs = Math.max(tally.maxUs, meanUs + reach);
      continue;
    }
    for (const { timestampUs, durationUs } of requestsOfSecond(app, container, peer, second, count)) {
      if (timestampUs < fromUs || timestampUs >= toUs) continue;
      tally.count++;
      tally.sumUs += durationUs;
      tally.minUs = Math.min(tally.minUs, durationUs);
      tally.maxUs = Math.max(tally.maxUs, durationUs);
    }
  }
  return tally;
}

/** An instance's requests in order of their timestamps in [fromUs, toUs). */
export function* requestsBetween(
  app: SimulatedApp,
  container: Container,
  peer: PeerType,
  fromUs: number,
  toUs: number,
): Generator<SimulatedRequest> {
  for (let second = firstSecond(container, fromUs); second * 1e6 < endUs(container, toUs); second++) {
    const count = requestsInSecond(app, container, second);
    for (const request of requestsOfSecond(app, container, peer, second, count)) {
      if (request.timestampUs >= fromUs && request.timestampUs < toUs) yield request;
    }
  }
}

function firstSecond(container: Container, fromUs: number): number {
  return Math.floor(Math.max(fromUs, container.startedUs) / 1e6);
}

/** Whoever is stopped still answers the requests of that second. */
function endUs(container: Container, toUs: number): number {
  return Math.min(toUs, container.stoppedUs + 1e6);
}

/** Who runs at the beginning of a second gets all its requests: so the number is fixed before the second is over. */
function requestsInSecond(app: SimulatedApp, container: Container, second: number): number {
  if (container.processType !== 'web' || !container.aliveAt(second * 1e6)) return 0;
  const rate = Math.min(app.shareAt(second * 1e6).requestsPerSecond, maxRequestsPerInstanceAndSecond);
  if (rate <= 0) return 0;
  // Rounding the running total instead of each second's number keeps the long-run rate exact for fractions too.
  const phase = fraction(mix(container.seed, 3));
  const elapsed = Math.floor(app.secsAt(second * 1e6));
  return Math.floor((elapsed + 1) * rate + phase) - Math.floor(elapsed * rate + phase);
}

function* requestsOfSecond(
  app: SimulatedApp,
  container: Container,
  peer: PeerType,
  second: number,
  count: number,
): Generator<SimulatedRequest> {
  const meanUs = meanDurationUs(app, second);
  const phase = fraction(mix(container.seed, 4));
  const server = peer === 'Server';
  for (let i = 0; i < count; i++) {
    const offsetUs = Math.floor(((i + phase) / count) * usedUsOfSecond);
    yield {
      timestampUs: second * 1e6 + offsetUs + (server ? serverAfterUs : 0),
      durationUs: meanUs + deviationUs(meanUs, i, count) + (server ? serverLongerUs : 0),
      id: `${mix(container.seed, second).toString(16).padStart(8, '0')}-${i.toString(16).padStart(4, '0')}`,
    };
  }
}

/** Of the i-th of count requests; odd around the middle, so that all of a second's deviations add up to 0. */
function deviationUs(meanUs: number, i: number, count: number): number {
  return Math.trunc((meanUs * spread * (2 * i + 1 - count)) / count);
}

/** Grows as in a queue: twice the service time at half the capacity, at most twenty times. */
function meanDurationUs(app: SimulatedApp, second: number): number {
  const { serviceTimeMs, capacityRps } = app.settings;
  const utilization = app.shareAt(second * 1e6).requestsPerSecond / capacityRps;
  return Math.round((serviceTimeMs * 1000) / (1 - Math.min(utilization, 0.95)));
}
