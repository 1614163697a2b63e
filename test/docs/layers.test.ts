import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';

const root = fileURLToPath(new URL('../../..', import.meta.url));

/** The table of rooms in docs/architecture.md: each room with those that it may import. */
function allowedImports(): Map<string, readonly string[]> {
  const text = readFileSync(join(root, 'docs/architecture.md'), 'utf8');
  const table = text.slice(text.indexOf('| room | imports |'), text.indexOf('## Contracts'));
  const rows = [...table.matchAll(/^\| `(.+?)` +\| (.*?) *\|$/gm)];
  return new Map(
    rows.map(([, room = '', names = '']) => [
      room,
      [...names.matchAll(/`(.+?)`/g)].map(([, name = '']) => name),
    ]),
  );
}

/** The room of a file, given from the root: its folder, without src, and `eventgenerator.ts` for the composition root. */
function roomOf(file: string): string {
  const folder = dirname(file);
  return folder === 'src' ? file.slice('src/'.length).replace(/\.js$/, '.ts') : folder.replace(/^src\//, '');
}

/** Each room with those that its files import. */
function importsFound(): Map<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const files = ['src', 'workers'].flatMap((top) =>
    readdirSync(join(root, top), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => join(top, name)),
  );
  for (const file of files) {
    const room = roomOf(file);
    const imported = found.get(room) ?? new Set();
    found.set(room, imported);
    for (const [, path = ''] of readFileSync(join(root, file), 'utf8').matchAll(
      /(?:from|\bimport\()\s*'(\.[^']+)'/g,
    )) {
      const other = roomOf(relative(root, join(root, dirname(file), path)));
      if (other !== room) imported.add(other);
    }
  }
  return found;
}

test('rooms import those that the architecture names for them, and no other', () => {
  const sorted = (map: ReadonlyMap<string, Iterable<string>>) =>
    Object.fromEntries([...map].map(([room, imports]) => [room, [...imports].sort()]));
  expect(sorted(importsFound())).toEqual(sorted(allowedImports()));
});

test('a room imports only rooms that stand above it in the table, so that there is no circle', () => {
  const rooms = [...allowedImports().keys()];
  const downwards = [...allowedImports()].flatMap(([room, imports]) =>
    imports
      .filter((other) => rooms.indexOf(other) >= rooms.indexOf(room))
      .map((other) => `${room} -> ${other}`),
  );
  expect(rooms.length).toBeGreaterThan(20);
  expect(downwards).toEqual([]);
});
