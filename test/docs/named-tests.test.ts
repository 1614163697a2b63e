import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { expect, test } from '@jest/globals';

const root = new URL('../../../', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), 'utf8');
const files = readdirSync(new URL('test', root), { recursive: true, encoding: 'utf8' });
const tests = files.filter((name) => name.endsWith('.test.ts'));

test('every test that a document names by its path exists', () => {
  const docs = readdirSync(new URL('docs', root), { recursive: true, encoding: 'utf8' });
  const named = ['README.md', 'CONTRIBUTING.md', ...docs.map((name) => `docs/${name}`)]
    .filter((path) => path.endsWith('.md'))
    .flatMap((path) => read(path).match(/[\w/-]+\.test\.ts/g) ?? []);
  expect(named.length).toBeGreaterThan(50);
  expect(named.filter((path) => !tests.includes(path.replace(/^test\//, '')))).toEqual([]);
});

test('every test that the table of faults names exists', () => {
  const names = new Set(tests.map((path) => basename(path, '.test.ts')));
  const rows = read('docs/reliability.md').match(/^\| .* \| `[a-z.-]+`.* \|$/gm) ?? [];
  const named = rows.flatMap(
    (row) =>
      row
        .split(' | ')
        .at(-1)
        ?.match(/`[^`]+`/g) ?? [],
  );
  expect(named.length).toBeGreaterThan(30);
  expect(named.filter((name) => !names.has(name.slice(1, -1)) && !name.startsWith('`bench -- '))).toEqual([]);
});
