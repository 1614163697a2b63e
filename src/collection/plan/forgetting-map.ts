/** How often it is looked for entries to forget. */
const sweepEverySecs = 60;

/**
 * State of apps by app id. No event says that an app has another owner or no policy any more, so the state of apps
 * that have no cycles has to be looked for and dropped.
 */
export class ForgettingMap<V> extends Map<string, V> {
  #sweptSecs = -Infinity;

  /** To be called in every cycle, with the time of any one clock. Drops what is over, once a minute. */
  sweep(nowSecs: number, isOver: (value: V) => boolean, onForget?: (appId: string, value: V) => void): void {
    const clockWentBack = nowSecs < this.#sweptSecs;
    if (!clockWentBack && nowSecs - this.#sweptSecs < sweepEverySecs) return;
    this.#sweptSecs = nowSecs;
    for (const [appId, value] of this) {
      if (!isOver(value)) continue;
      this.delete(appId);
      onForget?.(appId, value);
    }
  }
}
