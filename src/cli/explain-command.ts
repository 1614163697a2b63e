import type { Config } from '../config/config.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import { createFactsReader } from '../decisions/facts-reader.js';
import { explain } from '../explanation/explain.js';
import { explanationJson } from '../explanation/explanation-json.js';
import type { ProcessContext } from '../observability/process-context.js';
import { systemClock, type Clock } from '../util/clock.js';
import { isoTime } from '../util/iso-time.js';
import { explanationText } from './explanation-text.js';
import { UsageError } from './usage-error.js';
import { withDatabases } from './with-databases.js';

export interface ExplainOptions {
  readonly appId: string;
  readonly json: boolean;
  /** Wall-clock ms; undefined: now. */
  readonly atMs: number | undefined;
}

/** `eventgenerator explain`: asks the databases, not the members, so that it works while those hang. */
export async function explainCommand(
  config: Config,
  trust: ProcessContext['trust'],
  { appId, json, atMs }: ExplainOptions,
  clock: Pick<Clock, 'now'> = systemClock,
): Promise<number> {
  if (atMs !== undefined && atMs > clock.now()) {
    throw new UsageError(`--at '${isoTime(atMs)}' is in the future`);
  }
  const settings = evaluationSettings(config);
  return withDatabases(config, trust, async ({ policyDb, appMetricsDb }) => {
    const readFacts = createFactsReader({
      policyDb,
      appMetricsDb,
      mode: config.evaluator.mode,
      settings,
      pool: config.pool,
      clock,
      evaluationIntervalMs: config.evaluator.evaluationIntervalMs,
      local: null,
    });
    const explanation = explain(await readFacts(appId, atMs), settings);
    process.stdout.write(
      json ? `${JSON.stringify(explanationJson(explanation), null, 2)}\n` : explanationText(explanation),
    );
    return 0;
  });
}
