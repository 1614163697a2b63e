import { secsToNs } from '../../util/clock.js';
import { promqlWindowSecs } from '../../log-cache/promql.js';

/** What a cycle asked for, and what it knows without a look. */
export interface CoverageRequest {
  readonly appId: string;
  /** The http window that was asked for; ns since the epoch. */
  readonly startNs: bigint;
  readonly endNs: bigint;
  /** The http window that a value should describe. */
  readonly fullWindowSecs: number;
  /** Oldest envelope that the cycle has read anyway, ns since the epoch; null: it read none. */
  readonly oldestReadNs: bigint | null;
  /** The throughput, if that was asked for and is there. */
  readonly throughput: number | null;
}

interface Known {
  /** End of the last window that log-cache demonstrably held; -1 before there was one. */
  provenNs: bigint;
  cycleNs: bigint;
  cyclesUnproven: number;
  failed: boolean;
  /** Its last cycle read enough anyway to prove it. */
  readProved: boolean;
  /** The largest throughput of a window that was held. */
  mostHeld: number;
  /** Throughput of late: falls by a few percent a cycle at most. */
  usual: number;
  /** What the last look found of a window that was not held; null where there was none. */
  lastLook: { readonly oldestNs: bigint; readonly endNs: bigint } | null;
  /** Asked for instead of the whole window, because log-cache holds no more of so busy an app. */
  shortenedSecs: number | null;
}

/** A rise beyond what was held may take envelopes out of the window. */
const riseThatCounts = 1.5;
/** An honest fall is slower, as a rule. */
const fallThatCounts = 0.75;
const usualKept = 0.97;
/** Standard deviations of the number of requests that a fall must exceed. */
const deviations = 3;
/** Cycles after which an app is looked at without a reason. */
const routineCycles = 250;
/** Looks without an outage cost so much of all requests, and not more than so many at once. */
const shareOfRequests = 0.04;
const mostLooksSaved = 50;
/** Of the apps; and two at least: these failed, so it is not the apps. */
const shareThatIsAnOutage = 0.05;
/** A rate of a shorter part of the window says too little of it. */
const shortestPart = 0.25;
const shortestPartSecs = 5;
/** What is asked for of the part that is held: its beginning is on the move. */
const partKept = 0.9;
const partMarginSecs = 1;
const sweepEveryNs = secsToNs(60);
const forgottenAfterNs = secsToNs(600);

/**
 * Knows of each app whether log-cache holds its whole window. After a restart of log-cache, and of apps with more
 * envelopes than it keeps of a source, it holds a part only, and answers with the requests of that part as if they were
 * all. Asking each cycle what the oldest envelope is would cost as many requests again: it is asked where there is a
 * reason, and what a cycle has read anyway is taken for a proof.
 */
export class Coverage {
  readonly #apps = new Map<string, Known>();
  readonly #failing = new Set<string>();
  /** Apps whose window was held once and is not any more. */
  readonly #cut = new Set<string>();
  #outageNs = -1n;
  #looksSaved = mostLooksSaved;
  #sweptNs = 0n;

  /** How much of the http window can be asked for. */
  windowSecs(appId: string, fullWindowSecs: number): number {
    const shortened = this.#apps.get(appId)?.shortenedSecs ?? null;
    return shortened === null ? fullWindowSecs : Math.min(shortened, fullWindowSecs);
  }

  /** Whether it has to be asked which is the oldest envelope of the app. To be called once for each cycle that was answered. */
  needsProbe(cycle: CoverageRequest): boolean {
    this.#sweep(cycle.endNs);
    const known = this.#knownOf(cycle.appId);
    const { throughput } = cycle;
    known.cycleNs = cycle.endNs;
    known.cyclesUnproven++;
    const fell = throughput !== null && this.#fell(known.usual, throughput, cycle);
    if (throughput !== null) known.usual = Math.max(throughput, known.usual * usualKept);
    const proven = cycle.oldestReadNs !== null && cycle.oldestReadNs <= cycle.startNs;
    if (proven && known.shortenedSecs === null) {
      this.#prove(known, cycle);
      known.readProved = true;
      return false;
    }
    const outage = known.provenNs <= this.#outageNs;
    const noLongerRead = known.readProved && cycle.oldestReadNs !== null;
    known.readProved = false;
    if (noLongerRead || known.failed || outage || known.shortenedSecs !== null || known.lastLook !== null)
      return true;
    const rose = (throughput ?? 0) > riseThatCounts * known.mostHeld;
    if (!fell && !rose && known.cyclesUnproven < routineCycles) return false;
    if (this.#looksSaved < 1) return false;
    this.#looksSaved--;
    return true;
  }

  /** Takes in which is the oldest envelope that log-cache holds; whether it held the window that was asked for. */
  probed(cycle: CoverageRequest, oldestNs: bigint | null): boolean {
    const known = this.#knownOf(cycle.appId);
    const { endNs, startNs, fullWindowSecs } = cycle;
    const fullStartNs = endNs - secsToNs(fullWindowSecs);
    if (oldestNs !== null && oldestNs <= fullStartNs) {
      known.lastLook = known.shortenedSecs = null;
      this.#prove(known, cycle);
      return true;
    }
    const held = oldestNs !== null && oldestNs <= startNs;
    const { lastLook } = known;
    known.lastLook = oldestNs === null ? null : { oldestNs, endNs };
    if (known.provenNs >= 0n) this.#addTo(this.#cut, cycle.appId, endNs);
    known.provenNs = -1n;
    // What goes on and on is lost at the old end; what was lost at one time stays where it is.
    const evicted =
      lastLook && oldestNs !== null && 2n * (oldestNs - lastLook.oldestNs) > endNs - lastLook.endNs;
    known.shortenedSecs = evicted ? partOf(endNs - oldestNs, fullWindowSecs) : null;
    return held;
  }

  /**
   * The app's cycle failed: log-cache may not be what it was. `isLogCaches`: not the app's own fault, as a refusal is.
   * Several apps that begin to fail so are an outage; those that always fail are not.
   */
  failed(appId: string, endNs: bigint, isLogCaches: boolean): void {
    this.#knownOf(appId).failed = true;
    if (isLogCaches && !this.#failing.has(appId)) this.#addTo(this.#failing, appId, endNs);
  }

  /** The app's cycle was answered. */
  answered(appId: string, requests: number): void {
    this.#failing.delete(appId);
    this.#looksSaved = Math.min(mostLooksSaved, this.#looksSaved + shareOfRequests * requests);
  }

  /** Whatever was held before, each app has to prove it anew. */
  outage(atNs: bigint): void {
    if (atNs > this.#outageNs) this.#outageNs = atNs;
  }

  get size(): number {
    return this.#apps.size;
  }

  #addTo(troubled: Set<string>, appId: string, atNs: bigint): void {
    troubled.add(appId);
    if (troubled.size >= Math.max(2, shareThatIsAnOutage * this.#apps.size)) this.outage(atNs);
  }

  #prove(known: Known, { appId, endNs, throughput }: CoverageRequest): void {
    this.#cut.delete(appId);
    if (known.provenNs <= this.#outageNs) known.mostHeld = 0;
    known.provenNs = endNs;
    known.cyclesUnproven = 0;
    known.failed = false;
    known.lastLook = null;
    known.mostHeld = Math.max(known.mostHeld, throughput ?? 0);
  }

  #fell(usual: number, throughput: number, { fullWindowSecs }: CoverageRequest): boolean {
    // Throughputs are rounded up: from 2 to 1 may be from 1.01 to 1.
    if (throughput >= fallThatCounts * usual || usual - throughput < 2) return false;
    return (usual - throughput) * fullWindowSecs > deviations * Math.sqrt(usual * fullWindowSecs);
  }

  #knownOf(appId: string): Known {
    let known = this.#apps.get(appId);
    if (!known) {
      known = {
        provenNs: -1n,
        cycleNs: this.#sweptNs,
        cyclesUnproven: 0,
        failed: false,
        readProved: false,
        mostHeld: 0,
        usual: 0,
        lastLook: null,
        shortenedSecs: null,
      };
      this.#apps.set(appId, known);
    }
    return known;
  }

  /** Forgets the apps that had no cycle for long. */
  #sweep(endNs: bigint): void {
    if (endNs >= this.#sweptNs && endNs < this.#sweptNs + sweepEveryNs) return;
    this.#sweptNs = endNs;
    for (const [appId, { cycleNs }] of this.#apps) {
      if (endNs - cycleNs < forgottenAfterNs) continue;
      this.#apps.delete(appId);
      this.#failing.delete(appId);
      this.#cut.delete(appId);
    }
  }
}

/** How many seconds of the window to ask for where log-cache holds so much of it; null where that is too little. */
function partOf(heldNs: bigint, fullWindowSecs: number): number | null {
  const secs = Math.floor((Number(heldNs) / 1e9) * partKept - partMarginSecs);
  if (secs < Math.max(shortestPartSecs, fullWindowSecs * shortestPart)) return null;
  return Math.min(promqlWindowSecs(secs * 1000), fullWindowSecs);
}

/** A mean of gauges says what the window was like if so much of it is held. */
const leastOfStatWindow = 2n;

/** Whether so much of a stat window is there that the mean of its gauges is honest. */
export function coversGauges(
  oldestNs: bigint | null,
  { startNs, endNs }: Pick<CoverageRequest, 'startNs' | 'endNs'>,
): boolean {
  return oldestNs !== null && oldestNs <= startNs + (endNs - startNs) / leastOfStatWindow;
}
