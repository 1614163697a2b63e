import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** What a test of the quick set imports neither itself nor through what tests share. */
const needsMore = /^(node:child_process|node:worker_threads)$|^test\/support\/postgres\.ts$/;

/** Modules that a file of `test` imports at run time; files from the root. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8').replaceAll(/import type [^;]+;/g, '');
  return [...text.matchAll(/from '([^']+)'/g)].map(([, path = '']) =>
    path.startsWith('.') ? join(dirname(file), path).replace(/\.js$/, '.ts') : path,
  );
}

/** The modules that a test reaches within `test`. */
function reached(file: string, known = new Set<string>()): Set<string> {
  for (const path of importsOf(file)) {
    if (known.has(path)) continue;
    known.add(path);
    if (path.startsWith('test/')) reached(path, known);
  }
  return known;
}

test('the quick set of tests needs no database, process or thread', async () => {
  const config = (await import(join(root, 'jest.unit.config.js'))) as {
    readonly default: { readonly testPathIgnorePatterns: readonly string[] };
  };
  const leftOut = config.default.testPathIgnorePatterns.map((pattern) => new RegExp(pattern));
  const quick = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.test.ts') && !leftOut.some((path) => path.test(`/dist/test/${name}`)))
    .map((name) => join('test', name));
  expect(quick.length).toBeGreaterThan(80);
  expect(quick.filter((file) => [...reached(file)].some((path) => needsMore.test(path)))).toEqual([]);
});
