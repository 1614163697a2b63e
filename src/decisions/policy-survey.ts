import type { Database } from '../database/database.js';
import { readPolicies } from '../policy/policy-store.js';
import type { Clock } from '../util/clock.js';
import type { PolicyReason } from './listed-decision.js';

/** The apps that nobody evaluates, by reason: the problem of each policy, which is empty where there are no rules. */
export type AppsByPolicy = Readonly<Record<PolicyReason, ReadonlyMap<string, string>>>;

/** Apps of each reason that are told. */
const maxApps = 1_000;
/** A survey reads all policies, so it serves those who ask for a while. */
const keptMs = 30_000;

/** Looks through the policies of all apps when somebody asks; members keep only those of their own apps. */
export function createPolicySurvey(
  database: Pick<Database, 'stream'>,
  clock: Pick<Clock, 'monotonic'>,
): () => Promise<AppsByPolicy> {
  let last: { readonly atMs: number; readonly apps: Promise<AppsByPolicy> } | null = null;
  return () => {
    const nowMs = clock.monotonic();
    if (last && nowMs - last.atMs < keptMs) return last.apps;
    const apps = surveyPolicies(database);
    const survey = { atMs: nowMs, apps };
    last = survey;
    apps.catch(() => {
      if (last === survey) last = null;
    });
    return apps;
  };
}

/** Rejects when not everything could be read. */
export async function surveyPolicies(database: Pick<Database, 'stream'>): Promise<AppsByPolicy> {
  const apps = { 'policy-broken': new Map<string, string>(), 'no-rules': new Map<string, string>() };
  for await (const { appId, stored } of readPolicies(database)) {
    if (stored.kind === 'broken') addTo(apps['policy-broken'], appId, stored.problem);
    else if (stored.policy.rules.length === 0) addTo(apps['no-rules'], appId, '');
  }
  return apps;
}

function addTo(apps: Map<string, string>, appId: string, problem: string): void {
  if (apps.size < maxApps) apps.set(appId, problem);
}
