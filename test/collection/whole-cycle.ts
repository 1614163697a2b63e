import type { AppCollection, CollectionParts } from '../../src/collection/plan/collect-app.js';
import { sumOfCosts } from '../../src/collection/pool/cost.js';

/** Both parts of a cycle as one. */
export async function wholeCycle({ gauges, http }: CollectionParts): Promise<AppCollection> {
  const first = await gauges;
  const second = await http;
  if (!second) return first;
  return {
    outcomes: new Map([...first.outcomes, ...second.outcomes]),
    containers: first.containers,
    cost: sumOfCosts([first.cost, second.cost]),
  };
}
