import type { Database } from '../database/database.js';
import { readPolicies } from '../policy/policy-store.js';
import type { Clock } from '../util/clock.js';
import { shared } from '../util/shared.js';
import type { PolicyReason } from './listed-decision.js';

/** Apps that nobody evaluates for one reason. */
export interface SurveyedApps {
  readonly apps: number;
  /** Of some of them: the problem of each policy, which is empty where there are no rules. */
  readonly problems: ReadonlyMap<string, string>;
}
export type AppsByPolicy = Readonly<Record<PolicyReason, SurveyedApps>>;

/** Apps of each reason that are named. */
const maxNamed = 10_000;
/** A survey reads all policies, so it serves those who ask for a while. */
const keptMs = 30_000;

/**
 * Returns what looks through the policies of all apps, because members keep only those of their own apps. Rejects when not
 * everything could be read; then the next to ask tries again.
 */
export function createPolicySurvey(
  database: Pick<Database, 'stream'>,
  clock: Pick<Clock, 'monotonic'>,
): () => Promise<AppsByPolicy> {
  return shared(clock, () => survey(database), keptMs, 0);
}

async function survey(database: Pick<Database, 'stream'>): Promise<AppsByPolicy> {
  const found = { 'policy-broken': new Found(), 'no-rules': new Found() };
  for await (const { appId, stored } of readPolicies(database)) {
    if (stored.kind === 'broken') found['policy-broken'].add(appId, stored.problem);
    else if (stored.policy.rules.length === 0) found['no-rules'].add(appId, '');
  }
  return found;
}

class Found implements SurveyedApps {
  apps = 0;
  readonly problems = new Map<string, string>();

  add(appId: string, problem: string): void {
    this.apps++;
    if (this.problems.size < maxNamed) this.problems.set(appId, problem);
  }
}
