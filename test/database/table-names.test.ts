import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { tableNames } from '../../src/database/table-names.js';

const src = fileURLToPath(new URL('../../../src', import.meta.url));

test('acting members and observers have no table in common', () => {
  const acting = Object.values(tableNames('act'));
  const observing = Object.values(tableNames('observe'));
  expect(new Set([...acting, ...observing]).size).toBe(acting.length + observing.length);
});

/** As a statement names a table, or a text that was copied from one. */
const aTable = /\beventgenerator_[a-z_]+|(?:from|into|update|join|table) (?:if not exists )?app_metric\b/g;

test('no other source names a table, so that none can be forgotten for observers', () => {
  const named = readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts'))
    .flatMap((name) =>
      [...readFileSync(`${src}/${name}`, 'utf8').matchAll(aTable)].map(([text]) => `${name}: ${text}`),
    );
  expect(new Set(named)).toEqual(
    new Set([
      ...[...Object.values(tableNames('act')), ...Object.values(tableNames('observe'))]
        .filter((table) => table !== 'app_metric')
        .map((table) => `database/table-names.ts: ${table}`),
      // For a laptop, where nobody else creates it.
      'database/migrations.ts: table if not exists app_metric',
    ]),
  );
});
