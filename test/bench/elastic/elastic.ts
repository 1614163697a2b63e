import type { Benchmark, BenchmarkEvent } from '../benchmark.js';
import { events, type ElasticEvent } from './events.js';
import { withStage, type Stage } from './stage.js';

/** Real processes, a real database, and what happens to them: is every app collected, and each trigger posted once? */
export const elastic: Benchmark = {
  name: 'elastic',
  describe:
    '3 to 10 members with 3,000 apps at 4 s: members and the database are killed, frozen, cut off, replaced',
  run(context) {
    return withStage(context, context.quick ? 300 : 3_000, async (stage) => {
      const played: BenchmarkEvent[] = [];
      for (const event of events.filter(({ isQuick }) => isQuick || !context.quick)) {
        context.progress(`elastic: ${event.name}`);
        const outcome = await playOne(event, stage);
        played.push(outcome);
        // The events to come begin where this one was to end.
        if ('error' in outcome.outcome) break;
      }
      return { figures: [], events: played };
    });
  },
};

async function playOne(event: ElasticEvent, stage: Stage): Promise<BenchmarkEvent> {
  const startedMs = performance.now();
  const outcome = await event.play(stage).then(
    (figures) => ({ figures }),
    (error: unknown) => ({ error: error instanceof Error ? error.message : String(error) }),
  );
  return { name: event.name, secs: (performance.now() - startedMs) / 1000, outcome };
}
