import { jest } from '@jest/globals';
import type { ReplayConfig } from '../../src/cli/replay-config.js';
import { databaseConfig } from '../support/database-config.js';

/** What commands that replay app metrics need of the configuration; both databases are this one. */
export function replayConfigOf(databaseUrl: string): ReplayConfig {
  const url = databaseConfig(databaseUrl);
  return {
    policyDb: url,
    appMetricsDb: url,
    defaultBreachDurationSecs: 120,
    aggregator: { collectionIntervalMs: 40_000 },
    evaluator: { evaluationIntervalMs: 40_000 },
  } as ReplayConfig;
}

/** The exit code of a command, and what it writes. */
export async function outcomeOf(
  command: () => Promise<number>,
): Promise<{ readonly code: number; readonly text: string }> {
  const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    const code = await command();
    return { code, text: written.mock.calls.map(([chunk]) => String(chunk)).join('') };
  } finally {
    written.mockRestore();
  }
}
