import { readFileSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { EvaluationSettings } from '../evaluation/breach-rule.js';
import { doubtsOf } from '../explanation/doubts.js';
import { policyLimits } from '../policy/policy-limits.js';
import { parsePolicy } from '../policy/parse-policy.js';
import { readPolicies } from '../policy/policy-store.js';
import type { ProcessContext } from '../observability/process-context.js';
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
  const policy = { appId: '', version: '', rules: parsed.rules };
  return doubtsOf({ kind: 'usable', policy, ...policyLimits(text) }, settings).map((doubt) => doubt.text);
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

/** `eventgenerator lint --all`: every policy of policy_db. */
export async function lintAllCommand(
  config: Config,
  trust: ProcessContext['trust'],
  settings: EvaluationSettings,
): Promise<number> {
  return withDatabases(config, trust, async ({ policyDb }) => {
    let policies = 0;
    let doubtful = 0;
    try {
      for await (const { appId, stored, text } of readPolicies(policyDb)) {
        policies++;
        const problems =
          stored.kind === 'broken'
            ? [`the policy cannot be used: ${stored.problem}`]
            : lintPolicy(text, settings);
        if (problems.length > 0) doubtful++;
        for (const each of problems) process.stdout.write(`${printable(appId)}: ${printable(each)}\n`);
      }
    } catch (error) {
      process.stdout.write(`failed to read the policies: ${errorText(error)}\n`);
      return 1;
    }
    process.stdout.write(`${doubtful} of ${policies} policies are doubtful\n`);
    return doubtful === 0 ? 0 : 1;
  });
}
