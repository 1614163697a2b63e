/** The load on a whole app, which its running web instances share evenly. */
export interface Load {
  readonly requestsPerSecond: number;
  /** CPU work in percent of one core. */
  readonly cpuPercent: number;
  /** Memory that comes and goes with the load, in MiB. */
  readonly memoryMiB: number;
}

/** The load at a time in seconds since the platform started (negative before). Must be a pure function. */
export type LoadScript = (secs: number) => Load;

const noLoad: Load = { requestsPerSecond: 0, cpuPercent: 0, memoryMiB: 0 };

export function constantLoad(load: Partial<Load>): LoadScript {
  const complete = { ...noLoad, ...load };
  return () => complete;
}

export interface Keyframe {
  readonly atSecs: number;
  readonly load: Partial<Load>;
}

/** Straight lines between the key frames (in order of time); the first and last loads hold before and after. */
export function keyframes(frames: readonly Keyframe[]): LoadScript {
  const points = frames.map(({ atSecs, load }) => ({ atSecs, load: { ...noLoad, ...load } }));
  return (secs) => {
    const next = points.findIndex((point) => point.atSecs > secs);
    const before = points[(next === -1 ? points.length : next) - 1];
    const after = points[next];
    if (!before || !after) return (before ?? after)?.load ?? noLoad;
    return blend(before.load, after.load, (secs - before.atSecs) / (after.atSecs - before.atSecs));
  };
}

/** A sine between two loads, beginning at `low`. */
export function wave(low: Partial<Load>, high: Partial<Load>, periodSecs: number, phaseSecs = 0): LoadScript {
  const from = { ...noLoad, ...low };
  const to = { ...noLoad, ...high };
  return (secs) => blend(from, to, (1 - Math.cos((2 * Math.PI * (secs + phaseSecs)) / periodSecs)) / 2);
}

function blend(from: Load, to: Load, share: number): Load {
  const at = (a: number, b: number) => a + (b - a) * share;
  return {
    requestsPerSecond: at(from.requestsPerSecond, to.requestsPerSecond),
    cpuPercent: at(from.cpuPercent, to.cpuPercent),
    memoryMiB: at(from.memoryMiB, to.memoryMiB),
  };
}
