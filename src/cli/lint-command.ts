import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { Database, Databases } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import { createRecordedHistories } from '../decisions/recorded-histories.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { doubtsOf, valueDoubts } from '../explanation/doubts.js';
import type { AppPolicy } from '../policy/policy.js';
import { parsePolicy } from '../policy/parse-policy.js';
import { readPolicies } from '../policy/policy-store.js';
import type { ProcessContext } from '../observability/process-context.js';
import { systemClock } from '../util/clock.js';
import { errorText } from '../util/errors.js';
import { printable } from './table.js';
import { withDatabases } from './with-databases.js';

/** As most installations have it, for where no configuration is given. */
export const usualSettings: EvaluationSettings = {
  defaultBreachDurationSecs: 120,
  collectionIntervalMs: 40_000,
};

/** Problems of one policy, a line each; empty where there are none. */
export function lintPolicy(text: string | null, settings: EvaluationSettings): string[] {
  const parsed = parsePolicy(text);
  if (!parsed.ok) return [`the policy cannot be used: ${parsed.problem}`];
  return doubtsOf({ appId: '', version: '', ...parsed }, settings).map((doubt) => doubt.text);
}

/** `eventgenerator lint FILE`: exit code 1 where there is something to say. */
export function lintFileCommand(file: string, settings: EvaluationSettings): number {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    process.stdout.write(`failed to read ${file}: ${errorText(error)}\n`);
    return 1;
  }
  const problems = lintPolicy(text, settings);
  for (const problem of problems) process.stdout.write(`${file}: ${printable(problem)}\n`);
  if (problems.length === 0) process.stdout.write(`${file}: nothing doubtful\n`);
  return problems.length === 0 ? 0 : 1;
}

/** One statement looks for the app metrics of a day of so many policies. */
const policiesPerStatement = 100;

/** `eventgenerator lint --all`: every policy of policy_db, also whether there are values for its rules. */
export async function lintAllCommand(
  config: Config,
  trust: ProcessContext['trust'],
  settings: EvaluationSettings,
): Promise<number> {
  const { appMetric } = tableNames(config.evaluator.mode);
  return withDatabases(config, trust, async ({ policyDb, appMetricsDb }: Databases) => {
    const doubtful = new Set<string>();
    const tell = (appId: string, problem: string) => {
      doubtful.add(appId);
      process.stdout.write(`${printable(appId)}: ${printable(problem)}\n`);
    };
    let read = 'the policies';
    try {
      const { policies, usable } = await lintPolicies(policyDb, settings, tell);
      read = 'the app metrics';
      const histories = createRecordedHistories(appMetricsDb, appMetric, settings);
      for (let start = 0; start < usable.length; start += policiesPerStatement) {
        const some = usable.slice(start, start + policiesPerStatement);
        const without = await histories.readWithoutValues(some, systemClock.now());
        for (const policy of some) {
          for (const { text } of valueDoubts(policy, without.get(policy.appId) ?? []))
            tell(policy.appId, text);
        }
      }
      process.stdout.write(`${doubtful.size} of ${policies} policies are doubtful\n`);
      return doubtful.size === 0 ? 0 : 1;
    } catch (error) {
      process.stdout.write(`failed to read ${read}: ${errorText(error)}\n`);
      return 1;
    }
  });
}

/** Tells the problems that policies have by themselves. Returns how many there are, and those that can be used. */
async function lintPolicies(
  policyDb: Pick<Database, 'stream'>,
  settings: EvaluationSettings,
  tell: (appId: string, problem: string) => void,
): Promise<{ policies: number; usable: AppPolicy[] }> {
  const usable: AppPolicy[] = [];
  let policies = 0;
  for await (const { appId, stored, text } of readPolicies(policyDb)) {
    policies++;
    if (stored.kind === 'broken') {
      tell(appId, `the policy cannot be used: ${stored.problem}`);
      continue;
    }
    usable.push(stored.policy);
    for (const problem of lintPolicy(text, settings)) tell(appId, problem);
  }
  return { policies, usable };
}
