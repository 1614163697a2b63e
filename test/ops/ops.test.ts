import { describe, expect, test } from '@jest/globals';
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import type { Database } from '../../src/database/database.js';
import type { PoolStats } from '../../src/database/pool.js';
import { registerPoolMetrics } from '../../src/database/pool-metrics.js';
import { collectProcessMetrics } from '../../src/observability/process-metrics.js';
import { createMetrics } from '../../src/observability/metrics.js';

const folder = fileURLToPath(new URL('../../../ops', import.meta.url));
const text = (...path: string[]) => readFileSync(join(folder, ...path), 'utf8');

interface Rule {
  readonly alert: string;
  readonly expr: string;
  readonly labels: { readonly severity: string };
  readonly annotations: { readonly summary: string; readonly description: string };
}

interface Panel {
  readonly id: number;
  readonly title: string;
  readonly type: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly expr: string }[];
}

const noConnections: PoolStats = {
  maxOpenConnections: 0,
  openConnections: 0,
  inUse: 0,
  idle: 0,
  waitCount: 0,
  waitDurationMs: 0,
  maxIdleClosed: 0,
  maxLifetimeClosed: 0,
};

const { groups } = parse(text('prometheus', 'rules.yml')) as { groups: { rules: Rule[] }[] };
const rules = groups.flatMap((group) => group.rules);
const board = JSON.parse(text('grafana', 'eventgenerator.json')) as { panels: Panel[] };
const expressions = [
  ...rules.map(({ alert, expr }) => [alert, expr] as const),
  ...board.panels.flatMap(({ title, targets = [] }) => targets.map(({ expr }) => [title, expr] as const)),
];

test.each(expressions)('%s asks for metrics and label values that exist: %s', async (_name, expr) => {
  const used = [...expr.matchAll(/\b((?:autoscaler_eventgenerator|process)_\w+)(?:\{([^}]*)\})?/g)];
  expect(used).not.toEqual([]);
  const series = await existingSeries();
  for (const [, metric = '', matchers = ''] of used) {
    const labels = series.get(metric.replace(/_(bucket|sum|count)$/, ''));
    expect([metric, labels !== undefined]).toEqual([metric, true]);
    for (const [, label = '', values = ''] of matchers.matchAll(/(\w+)(?:=~|!~|=)"([^"$]*)"/g)) {
      if (label === 'instance') continue;
      const missing = values.split('|').filter((value) => labels?.get(label)?.has(value) !== true);
      expect([metric, label, missing]).toEqual([metric, label, []]);
    }
  }
});

describe('alert rules', () => {
  test('each has a severity, and says what is wrong and what to do', () => {
    for (const { alert, labels, annotations } of rules) {
      expect(['critical', 'warning', 'info']).toContain(labels.severity);
      expect([alert, annotations.summary.length > 0, annotations.description.length > 0]).toEqual([
        alert,
        true,
        true,
      ]);
    }
  });

  test('each is tried by the unit tests', () => {
    const tests = text('prometheus', 'rules_test.yml');
    expect(
      rules.filter(({ alert }) => !tests.includes(`alertname: ${alert}\n`)).map(({ alert }) => alert),
    ).toEqual([]);
  });

  const installed = spawnSync('promtool', ['--version']).status === 0;
  (installed ? test : test.skip)('pass their unit tests, where promtool is installed', () => {
    const run = (...args: string[]) =>
      execFileSync('promtool', args, { cwd: join(folder, 'prometheus'), encoding: 'utf8', stdio: 'pipe' });
    expect(run('check', 'rules', 'rules.yml')).toContain(`${rules.length} rules found`);
    expect(run('test', 'rules', 'rules_test.yml')).toContain('SUCCESS');
  });
});

describe('the board', () => {
  test('gives each panel an id of its own', () => {
    const ids = board.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('stacks the apps by reason, whose sum is all apps owned', () => {
    const panel = board.panels.find(({ title }) => title === 'Apps by reason');
    expect(panel).toMatchObject({
      type: 'timeseries',
      fieldConfig: { defaults: { custom: { stacking: { mode: 'normal' } } } },
    });
    expect(panel?.targets?.[0]?.expr).toMatch(/^sum by \(reason\) \(autoscaler_eventgenerator_apps\{/);
  });

  test('shows metrics that every process has of the eventgenerator alone', () => {
    const general = expressions.filter(([, expr]) => /\b(process|nodejs)_/.test(expr));
    expect(general.length).toBeGreaterThan(0);
    for (const [title, expr] of general) {
      expect([title, expr]).toEqual([
        title,
        expect.stringMatching(/ and on \(job, instance\) autoscaler_eventgenerator_build_info$/),
      ]);
    }
  });

  test('has no panels that overlap or stick out', () => {
    const cells = board.panels.flatMap(({ title, gridPos: { x, y, w, h } }) => {
      expect([title, x + w <= 24]).toEqual([title, true]);
      return Array.from({ length: w * h }, (_, i) => `${x + (i % w)},${y + Math.floor(i / w)}`);
    });
    expect(new Set(cells).size).toBe(cells.length);
  });
});

/** Every metric of the program with the values that its labels have from the start. */
async function existingSeries(): Promise<ReadonlyMap<string, ReadonlyMap<string, ReadonlySet<unknown>>>> {
  const { registry } = createMetrics();
  const pool = { stats: () => noConnections } as Database;
  registerPoolMetrics(registry, { policyDb: pool, appMetricsDb: pool });
  collectProcessMetrics(registry, {});
  return new Map(
    (await registry.getMetricsAsJSON()).map(({ name, values }) => {
      const labels = new Map<string, Set<unknown>>();
      for (const { labels: given } of values)
        for (const [label, value] of Object.entries(given))
          labels.set(label, (labels.get(label) ?? new Set()).add(value));
      return [name, labels];
    }),
  );
}
