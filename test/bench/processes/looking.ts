import { pause } from '../figures.js';
import type { EventgeneratorProcess } from './eventgenerator-process.js';
import type { Scrape } from './prometheus-text.js';

/** Scrapes the process before, and then once a second until `during` is over. */
export async function scrapedWhile<T>(
  eventgenerator: Pick<EventgeneratorProcess, 'scrape'>,
  during: () => Promise<T>,
): Promise<{ readonly first: Scrape; readonly scrapes: readonly Scrape[]; readonly result: T }> {
  const first = await eventgenerator.scrape();
  const scrapes = [first];
  let isOver = false;
  const looking = (async () => {
    while (!isOver) {
      await pause(1_000);
      scrapes.push(await eventgenerator.scrape());
    }
  })();
  const result = await during().finally(() => (isOver = true));
  await looking;
  return { first, scrapes, result };
}

/** Of the main thread. Every scrape starts the loop's figures anew; the first has what was before. */
export function longestTaskMs(scrapes: readonly Scrape[]): number {
  return Math.max(...scrapes.slice(1).map((scrape) => scrape.sum('nodejs_eventloop_lag_max_seconds') * 1000));
}
