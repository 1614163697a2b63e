import type { Mode } from '../config/config.js';

/** The tables in appmetrics_db that a process works with. */
export type TableNames = Readonly<
  Record<'appMetric' | 'member' | 'trigger' | 'decision' | 'decisionChange', string>
>;

/**
 * Observers have tables of their own for everything. A column that tells them apart would be read by no member of an
 * older version, which would then share its apps with observers.
 * docs/decisions/0042-observers-have-their-own-tables.md has the rest.
 */
const names: Readonly<Record<Mode, TableNames>> = {
  act: {
    appMetric: 'app_metric',
    member: 'eventgenerator_member',
    trigger: 'eventgenerator_trigger',
    decision: 'eventgenerator_decision',
    decisionChange: 'eventgenerator_decision_change',
  },
  observe: {
    appMetric: 'eventgenerator_observed',
    member: 'eventgenerator_observer_member',
    trigger: 'eventgenerator_observer_trigger',
    decision: 'eventgenerator_observer_decision',
    decisionChange: 'eventgenerator_observer_decision_change',
  },
};

export function tableNames(mode: Mode): TableNames {
  return names[mode];
}
