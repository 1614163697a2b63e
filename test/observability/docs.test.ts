import { expect, test } from '@jest/globals';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { registerPoolMetrics } from '../../src/database/pool-metrics.js';
import { createMetrics } from '../../src/observability/metrics.js';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));
const docs = readFileSync(join(checkout, 'docs', 'operations.md'), 'utf8');
const prefix = 'autoscaler_eventgenerator_';

const section = (title: string) => docs.split(/^## /m).find((text) => text.startsWith(title)) ?? '';

/** The first cells of the tables of metrics, with `<db>` in place of a database's name. */
const documented = [...section('Metrics').matchAll(/^\| `([a-z_<>]+)` \|/gm)].map(([, name]) => name);

test('docs/operations.md names every metric, and no other', async () => {
  const { registry } = createMetrics();
  const stats = { stats: () => ({}) as never };
  registerPoolMetrics(registry, { policyDb: stats, appMetricsDb: stats } as never);
  const existing = registry
    .getMetricsAsArray()
    .map(({ name }) => name.replace(prefix, '').replace(/^(appMetricDB|policyDB)_/, '<db>_'));
  expect([...documented].sort()).toEqual([...new Set(existing)].sort());
});

test('docs/operations.md says the type of every metric', async () => {
  const { registry } = createMetrics();
  for (const { name, type } of await registry.getMetricsAsJSON()) {
    expect(docs).toContain(`| \`${name.replace(prefix, '')}\` | ${String(type)} |`);
  }
});

test('every metric in an alert or a remedy exists', () => {
  const { registry } = createMetrics();
  const names = new Set(registry.getMetricsAsArray().map(({ name }) => name));
  const used = [...docs.matchAll(/autoscaler_eventgenerator_(\w+)/g)].map(([name]) => name);
  expect(used.filter((name) => !names.has(name.replace(/_(bucket|sum|count)$/, '')))).toEqual([]);
});

test('docs/operations.md lists every event that is logged as info or error', () => {
  const catalogue = section('Log events');
  const events = sources().flatMap((text) =>
    [
      ...text.matchAll(/\.(?:info|error)\(\s*(?:[\w.!=' ]+\?\s*)?'([a-z-]+)'(?:\s*:\s*'([a-z-]+)')?/g),
    ].flatMap(([, event, other]) => [event, other].filter((name) => name !== undefined)),
  );
  expect(events.length).toBeGreaterThan(30);
  const missing = events.filter((event) => !new RegExp(`[.\`]${event}\``).test(catalogue));
  expect([...new Set(missing)]).toEqual([]);
});

function sources(): string[] {
  const folder = join(checkout, 'src');
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .map((name) => readFileSync(join(folder, name), 'utf8'));
}
