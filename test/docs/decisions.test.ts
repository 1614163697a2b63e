import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';

const folder = new URL('../../../docs/decisions/', import.meta.url);
const read = (name: string) => readFileSync(new URL(name, folder), 'utf8');
const files = readdirSync(folder)
  .filter((name) => name !== 'README.md')
  .sort();
const sections = ['Context', 'Decision', 'Considered', 'Measured', 'Consequences'];

test('the index lists every decision with its number and title, in order', () => {
  const rows = [...read('README.md').matchAll(/^\| \[(\d{4})\]\((.+?)\) +\| (.+?) +\|$/gm)];
  const listed = rows.map(([, number, file, title]) => [file, `# ${number}. ${title}`]);
  expect(listed).toEqual(files.map((file) => [file, read(file).split('\n')[0]]));
  for (const [file, heading] of listed) expect(heading).toMatch(`# ${file?.slice(0, 4)}. `);
});

test('the numbers have no gap', () => {
  expect(files.map((file) => Number(file.slice(0, 4)))).toEqual(files.map((_, index) => index + 1));
});

test.each(files)('%s has the form of the others', (file) => {
  const found = [...read(file).matchAll(/^## (.*)$/gm)].map(([, title]) => title);
  expect(found.slice(0, 2)).toEqual(['Context', 'Decision']);
  expect(found).toEqual(sections.filter((title) => found.includes(title)));
});
