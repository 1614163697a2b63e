import type { Config } from '../config/config.js';
import { evaluationSettings } from '../evaluation/evaluation-settings.js';
import type { Databases } from '../database/database.js';
import { tableNames } from '../database/table-names.js';
import type { Histories } from '../evaluation/decide.js';
import { explain, type Explanation } from '../explanation/explain.js';
import type { ProcessContext } from '../observability/process-context.js';
import type { ReasonCode } from '../explanation/reason.js';
import type { OwnershipParts } from '../ownership/open-ownership.js';
import type { Breakers } from '../scaling-engine/breakers.js';
import type { Gates } from '../scaling-engine/gates.js';
import { createDecisionLists } from './decision-lists.js';
import { createDecisionLog } from './decision-log.js';
import { DecisionRecorder } from './decision-recorder.js';
import { createDecisionStore, type ChangesQuery, type DecisionChange } from './decision-store.js';
import { DecisionWriter } from './decision-writer.js';
import { reportDoubtfulPolicies } from './doubtful-policies.js';
import { createFactsReader } from './facts-reader.js';
import { createPolicySurvey } from './policy-survey.js';
import type { ListedDecision, ListQuery } from './listed-decision.js';

/** What other parts know that decisions are explained with. */
export interface DecisionsOptions {
  readonly databases: Databases;
  readonly history: Histories;
  readonly ownership: Pick<OwnershipParts, 'leaseId' | 'readMembers'>;
  readonly gates: Pick<Gates, 'coolDownUntilMs' | 'backOffUntilMs'>;
  readonly breakers: Pick<Breakers, 'openFor'>;
}

/** Answers questions about decisions. All but `explain` reject when the database does not answer. */
export interface DecisionsReader {
  explain(appId: string): Promise<Explanation>;
  changes(query: ChangesQuery): Promise<readonly DecisionChange[]>;
  /** Where decisions are not shared: of the apps that this process owns. */
  list(query: ListQuery): Promise<readonly ListedDecision[]>;
  /** How many apps have each code; of the apps that this process owns where decisions are not shared. */
  count(): Promise<ReadonlyMap<ReasonCode, number>>;
}

export interface Decisions {
  readonly recorder: DecisionRecorder;
  readonly writer: DecisionWriter;
  readonly reader: DecisionsReader;
}

/** What is recorded of decisions, written for others and told when somebody asks. */
export function createDecisions(
  config: Config,
  context: ProcessContext,
  options: DecisionsOptions,
): Decisions {
  const { databases, history, ownership, gates, breakers } = options;
  const isElastic = ownership.readMembers !== null;
  const { mode } = config.evaluator;
  const store = createDecisionStore(databases.appMetricsDb, tableNames(mode));
  const settings = evaluationSettings(config);
  const logChange = createDecisionLog(context);
  const recorder = new DecisionRecorder({
    clock: context.clock,
    history,
    breakersOf: (appId) => breakers.openFor(appId),
    member: { leaseId: () => ownership.leaseId(), instanceIndex: config.instance.index },
    changed(change) {
      writer.addChange(change);
      logChange(change);
    },
    newVersion: reportDoubtfulPolicies({ ...context, settings }),
  });
  const writer = new DecisionWriter({
    ...context,
    store,
    recorder,
    database: databases.appMetricsDb,
    mode,
    mayCreate: isElastic,
  });
  const readFacts = createFactsReader({
    ...databases,
    mode,
    settings,
    pool: { ...config.pool, mode: isElastic ? 'elastic' : 'static' },
    clock: context.clock,
    evaluationIntervalMs: config.evaluator.evaluationIntervalMs,
    local: {
      leaseId: () => ownership.leaseId(),
      knowledgeOf: (appId) => recorder.knowledgeOf(appId),
      pausesOf: (appId) => ({
        coolDownUntilMs: gates.coolDownUntilMs(appId),
        ignoredOutUntilMs: gates.backOffUntilMs(appId, 'out'),
        ignoredInUntilMs: gates.backOffUntilMs(appId, 'in'),
      }),
    },
  });
  return {
    recorder,
    writer,
    reader: {
      explain: async (appId) => explain(await readFacts(appId), settings),
      changes: (query) => store.readChanges(query),
      ...createDecisionLists(createPolicySurvey(databases.policyDb, context.clock), () =>
        isElastic || writer.hasTables ? store : recorder,
      ),
    },
  };
}
