import { nsToMs, secsToNs } from '../../util/clock.js';
import type { Window } from '../../log-cache/log-cache.js';
import { fell, isBusy, isEvicting, partToAskFor, type Probe } from './coverage-rules.js';
import { ForgettingMap } from './forgetting-map.js';

/** The http window that a cycle asked for, and what it knows without a probe. */
export interface CoverageRequest extends Window {
  readonly appId: string;
  /** The http window that a value should describe. */
  readonly fullWindowSecs: number;
  /** Oldest envelope that the cycle has read anyway, ns since the epoch; null: it read none. */
  readonly oldestReadNs: bigint | null;
  /** null where it was not asked for, or is no value. */
  readonly throughput: number | null;
}

interface Known {
  /** End of the last window that log-cache demonstrably held; -1 before there was one. */
  provenNs: bigint;
  lastCycleSecs: number;
  cyclesUnproven: number;
  failed: boolean;
  /** Its last cycle read enough anyway to prove it. */
  readProved: boolean;
  /** The largest throughput of a window that was held. */
  mostHeld: number;
  /** The largest throughput since the last window that was held, with that window. */
  mostSince: number;
  /** What the last probe found of a window that was not held; null where there was none. */
  lastProbe: Probe | null;
  /** Asked for instead of the whole window, because log-cache holds no more of so busy an app. */
  shortenedSecs: number | null;
}

/** A rise beyond what was held may push envelopes out of the window. */
const riseThatCounts = 1.5;
/** Cycles after which an app is probed without a reason. */
const routineCycles = 250;
/** The same for an app so busy that log-cache may evict envelopes of its window. */
const routineCyclesIfBusy = 25;
/** Of all requests, for probes without an outage. */
const shareOfRequests = 0.04;
const mostProbesSaved = 50;
/** So many are left for falls and sharp rises. */
const probesReserved = 25;
/** Share of the apps, and at least two, that must fail together to be an outage and not a problem of the apps. */
const shareThatIsAnOutage = 0.05;
const forgottenAfterSecs = 600;

/**
 * Knows of each app whether log-cache holds its whole window. After a restart of log-cache, and of apps with more
 * envelopes than it keeps of a source, it holds only the last part, and returns the requests of that part as if they
 * were all. To ask in each cycle for the oldest envelope would double the requests. So a probe is sent only where there
 * is a reason, and what a cycle has read anyway is taken for a proof.
 */
export class Coverage {
  readonly #apps = new ForgettingMap<Known>();
  readonly #failing = new Set<string>();
  /** Apps whose window was held once and is not any more. */
  readonly #cut = new Set<string>();
  #outageNs = -1n;
  #probesSaved = mostProbesSaved;

  /** How much of the http window can be asked for. */
  windowSecs(appId: string, fullWindowSecs: number): number {
    return Math.min(this.#apps.get(appId)?.shortenedSecs ?? fullWindowSecs, fullWindowSecs);
  }

  /** Whether a probe has to find the app's oldest envelope. To be called once for each cycle that has a value. */
  needsProbe(cycle: CoverageRequest): boolean {
    const { throughput, oldestReadNs } = cycle;
    const known = this.#knownOf(cycle.appId, cycle.endNs);
    known.cyclesUnproven++;
    const hasFallen = throughput !== null && fell(known.mostSince, throughput, cycle.fullWindowSecs);
    known.mostSince = Math.max(known.mostSince, throughput ?? 0);

    const noLongerRead = known.readProved && oldestReadNs !== null;
    known.readProved = oldestReadNs !== null && oldestReadNs <= cycle.startNs && known.shortenedSecs === null;
    if (known.readProved) {
      this.#prove(known, cycle);
      return false;
    }
    const outage = known.provenNs <= this.#outageNs;
    const isPart = known.shortenedSecs !== null || known.lastProbe !== null;
    if (noLongerRead || known.failed || outage || isPart) return true;
    const hasRisen = (throughput ?? 0) > riseThatCounts * known.mostHeld;
    const isUrgent = hasFallen || hasRisen;
    if (!isUrgent && !isDue(known, throughput ?? 0, cycle.fullWindowSecs)) return false;
    if (this.#probesSaved < (isUrgent ? 1 : probesReserved)) return false;
    this.#probesSaved--;
    return true;
  }

  /** Takes in the oldest envelope that a probe found. Returns whether log-cache held the window that was asked for. */
  probed(cycle: CoverageRequest, oldestNs: bigint | null): boolean {
    const { appId, startNs, endNs, fullWindowSecs } = cycle;
    const known = this.#knownOf(appId, endNs);
    if (oldestNs !== null && oldestNs <= endNs - secsToNs(fullWindowSecs)) {
      known.shortenedSecs = null;
      this.#prove(known, cycle);
      return true;
    }
    const probe = oldestNs === null ? null : { oldestNs, endNs };
    const evicts = probe !== null && isEvicting(known.lastProbe, probe);
    known.lastProbe = probe;
    if (known.provenNs >= 0n) this.#addTo(this.#cut, appId, endNs);
    known.provenNs = -1n;
    known.shortenedSecs = evicts ? partToAskFor(endNs - probe.oldestNs, fullWindowSecs) : null;
    return oldestNs !== null && oldestNs <= startNs;
  }

  /**
   * The app's cycle failed: log-cache may have lost envelopes. `isLogCaches`: the failure is not the app's own, as a
   * rejection is. Several apps that begin to fail so are an outage; those that always fail are not.
   */
  failed(appId: string, endNs: bigint, isLogCaches: boolean): void {
    this.#knownOf(appId, endNs).failed = true;
    if (isLogCaches && !this.#failing.has(appId)) this.#addTo(this.#failing, appId, endNs);
  }

  /** No part of the app's cycle failed. `requests`: how many it took. */
  succeeded(appId: string, requests: number): void {
    this.#failing.delete(appId);
    this.#probesSaved = Math.min(mostProbesSaved, this.#probesSaved + shareOfRequests * requests);
  }

  /** From here on each app has to prove anew that its window is held. */
  outage(atNs: bigint): void {
    if (atNs > this.#outageNs) this.#outageNs = atNs;
  }

  /** Apps with any state, for tests. */
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
    known.lastProbe = null;
    known.mostHeld = Math.max(known.mostHeld, throughput ?? 0);
    known.mostSince = throughput ?? 0;
  }

  #knownOf(appId: string, endNs: bigint): Known {
    this.#sweep(endNs);
    // After a wall clock that went back, what was noted of times that are still to come says nothing.
    if (this.#outageNs > endNs + secsToNs(forgottenAfterSecs)) this.#outageNs = endNs - 1n;
    let known = this.#apps.get(appId);
    if (!known) {
      known = {
        provenNs: -1n,
        lastCycleSecs: 0,
        cyclesUnproven: 0,
        failed: false,
        readProved: false,
        mostHeld: 0,
        mostSince: 0,
        lastProbe: null,
        shortenedSecs: null,
      };
      this.#apps.set(appId, known);
    }
    if (known.provenNs > endNs) known.provenNs = -1n;
    known.lastCycleSecs = nsToMs(endNs) / 1000;
    return known;
  }

  #sweep(endNs: bigint): void {
    const nowSecs = nsToMs(endNs) / 1000;
    this.#apps.sweep(
      nowSecs,
      ({ lastCycleSecs }) => nowSecs - lastCycleSecs >= forgottenAfterSecs,
      (appId) => {
        this.#failing.delete(appId);
        this.#cut.delete(appId);
      },
    );
  }
}

/** Whether a probe is due without a change of the rate that tells something. */
function isDue({ cyclesUnproven, mostHeld }: Known, throughput: number, windowSecs: number): boolean {
  if (!isBusy(throughput, windowSecs)) return cyclesUnproven >= routineCycles;
  // What log-cache returns rises no further once it evicts, however many requests there are.
  return throughput > mostHeld || cyclesUnproven >= routineCyclesIfBusy;
}
