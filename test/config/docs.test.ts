import { expect, test } from '@jest/globals';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { keys } from '../../src/config/keys.js';
import {
  durationType,
  flagType,
  isSetting,
  type Setting,
  textType,
  integerType,
  type Section,
} from '../../src/config/setting.js';
import { loadFile } from './support.js';

const docs = readFileSync(fileURLToPath(new URL('../../../docs/configuration.md', import.meta.url)), 'utf8');

/** Rows of the tables of keys: name, kind, default. */
const documented = new Map(
  [...docs.matchAll(/^\| `([\w.<>]+)` \| ([\w ]+) \| ([^|]+) \|/gm)].map(([, key, kind, fallback]) => [
    key ?? '',
    { kind, fallback },
  ]),
);

const kindsOf = new Map<unknown, readonly string[]>([
  [textType, ['text', 'file']],
  [flagType, ['boolean']],
  [integerType, ['integer', 'count', 'port']],
  [durationType, ['duration', 'interval']],
]);

/** Defaults that the platform decides, as they are elsewhere. */
const platformDefaults: Readonly<Record<string, string>> = {
  'health.readiness_enabled': '`false`',
  'pool.mode': '`static`',
  'pool.instance_index': '`0`',
};
const requiredTexts = ['url', 'scaling_engine_url', 'metric_collector_url'];

function settings(section: Section, path = ''): [string, Setting<unknown>][] {
  return Object.entries(section).flatMap(([name, entry]): [string, Setting<unknown>][] =>
    isSetting(entry) ? [[path + name, entry]] : settings(entry, `${path}${name}.`),
  );
}

const documentedName = (key: string) => key.replace(/^db\.\w+/, 'db.<name>');

test.each(settings(keys))('%s is documented with its kind and default', (key, setting) => {
  const row = documented.get(documentedName(key));
  expect(kindsOf.get(setting.type)).toContain(row?.kind);
  expect(row?.fallback).toBe(platformDefaults[key] ?? defaultInWords(key, setting.default));
});

test('no other key is documented', () => {
  expect([...documented.keys()].sort()).toEqual(
    [...new Set(settings(keys).map(([key]) => documentedName(key)))].sort(),
  );
});

test('the documented file is accepted without a warning', () => {
  const example = /```yaml\n(.*?)```/s.exec(docs)?.[1] ?? '';
  expect(loadFile(example).warnings).toEqual([]);
});

function defaultInWords(key: string, fallback: unknown): string {
  const isRequiredText = requiredTexts.includes(key.split('.').at(-1) ?? '') && !key.includes('.uaa.');
  if (fallback === null || isRequiredText) return 'required';
  return fallback === '' ? 'empty' : `\`${JSON.stringify(fallback).replaceAll('"', '')}\``;
}
