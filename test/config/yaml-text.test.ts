import { expect, test } from '@jest/globals';
import { isEmpty, Literal, type RawNode } from '../../src/config/raw.js';
import { maxConfigLength, parseYamlMap } from '../../src/config/yaml-text.js';

test('numbers and booleans keep their text, and null is absent', () => {
  const map = parseYamlMap('a: 0123\nb: 1e5\nc: true\nd: "20"\ne: ~\nf:\ng: null\nh: 12345678901234567890\n');
  expect([...map.keys()]).toEqual(['a', 'b', 'c', 'd', 'h']);
  expect(map.get('a')).toEqual(new Literal(123n, '0123'));
  expect(map.get('b')).toEqual(new Literal(100000, '1e5'));
  expect(map.get('c')).toEqual(new Literal(true, 'true'));
  expect(map.get('d')).toBe('20');
  expect(map.get('h')).toEqual(new Literal(12345678901234567890n, '12345678901234567890'));
});

test('merge keys and aliases work as in Go', () => {
  const map = parseYamlMap('base: &base {port: 1, level: info}\nown:\n  <<: *base\n  port: 2\n');
  expect(map.get('own')).toEqual(
    new Map<string, RawNode>([
      ['port', new Literal(2n, '2')],
      ['level', 'info'],
    ]),
  );
});

test.each(['', '---\n', '# nothing\n', 'null'])('a text without content (%j) is an empty map', (text) => {
  expect(parseYamlMap(text)).toEqual(new Map());
});

test('a byte order mark is no key', () => {
  expect([...parseYamlMap('\uFEFFa: 1').keys()]).toEqual(['a']);
});

const bomb = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...['b', 'c', 'd', 'e', 'f', 'g', 'h'].map(
    (name, i) => `${name}: &${name} [${Array(9).fill(`*${'abcdefg'[i]}`).join(', ')}]`,
  ),
].join('\n');

test.each([
  ['a list', '- a', 'it holds a list, allowed is a map of keys'],
  ['a scalar', 'hello', 'it holds a single value, allowed is a map of keys'],
  ['a number', '7', 'it holds a single value, allowed is a map of keys'],
  ['a duplicate key', 'a: 1\nb: 2\na: 3', 'line 3, column 1: duplicate key'],
  ['a nested duplicate key', 'a:\n  b: 1\n  "b": 2', 'line 3, column 3: duplicate key'],
  ['two documents', 'a: 1\n---\nb: 2', 'multiple docs'],
  ['a tab', 'a:\n\tb: 1', 'tab as indent'],
  ['an open quote', 'a: "x', 'missing char'],
  ['a map as key', '? {a: 1}\n: 2', 'non string key'],
  ['a value with the tag of bytes', 'a: !!binary aGVsbG8=', 'line 1, column 13: unsupported tag'],
  ['a value with the tag of a date', 'a: !!timestamp 2026-01-01', 'line 1, column 16: unsupported tag'],
  ['an unknown alias', 'a: *nobody', 'bad alias|alias is unresolved'],
  ['an alias of what it is in', 'a: &a {b: [*a]}', 'an alias stands for what it is part of'],
  ['Latin-1', Buffer.from('a: \xe9', 'latin1').toString('utf8'), 'not UTF-8'],
  ['an alias bomb', bomb, 'too many'],
  ['deep nesting', 'a: ' + '['.repeat(5_000), 'resource exhaustion'],
])('%s is refused', (_what, text, message) => {
  expect(() => parseYamlMap(text)).toThrow(new RegExp(message));
});

test('a huge text is refused', () => {
  expect(() => parseYamlMap('a: ' + 'x'.repeat(maxConfigLength))).toThrow(
    /longer than the 262144 characters/,
  );
});

test('as many keys as fit are checked for duplicates in linear time', () => {
  const text = Array.from({ length: 25_000 }, (_, i) => `k${i}: 1`).join('\n');
  expect(parseYamlMap(text).size).toBe(25_000);
});

test('a message never quotes the text', () => {
  for (const text of [
    'password: "hunter2',
    'password: @hunter2',
    'a: [hunter2',
    'hunter2: 1\nhunter2: 2',
    '%hunter2',
  ]) {
    expect(() => parseYamlMap(text)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hunter2') }),
    );
  }
});

test('many faults are summed up', () => {
  const text = Array.from({ length: 20_000 }, () => 'a: 1').join('\n');
  expect(() => parseYamlMap(text)).toThrow(/line 2, .*; and 19989 more$/);
});

test.each([
  ['""', true],
  ['[]', true],
  ['{a: "", b: [], c: {d: false}, e: ~}', true],
  ['{a: {b: [0]}}', false],
  ['true', false],
  ['0', false],
  ['x', false],
])('%s is empty: %s', (text, empty) => {
  const node = parseYamlMap(`key: ${text}`).get('key');
  expect(node !== undefined && isEmpty(node)).toBe(empty);
});
