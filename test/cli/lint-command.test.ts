import { afterEach, expect, jest, test } from '@jest/globals';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lintFileCommand, lintPolicy } from '../../src/cli/lint-command.js';
import { settings } from '../evaluation/examples.js';
import { policyOf, when } from '../pipeline/policies.js';

afterEach(() => {
  jest.restoreAllMocks();
});

test('a policy is doubtful, broken, or neither', () => {
  const overlapping = policyOf(when('cpu > 80', '+1'), when('cpu < 90', '-1'));
  expect(lintPolicy(JSON.stringify(overlapping), settings)).toEqual([
    'rules 1 and 2 overlap: a cpu that breaches both scales out by rule 1, and by rule 2 would scale in',
  ]);
  expect(lintPolicy('[]', settings)).toEqual([
    'the policy cannot be used: it is a list instead of an object',
  ]);
  const equal = { ...policyOf(when('cpu > 80', '+1')), instance_max_count: 1 };
  expect(lintPolicy(JSON.stringify(equal), settings)).toEqual([
    'minimum and maximum are both 1: the rules can change nothing',
  ]);
  expect(lintPolicy(JSON.stringify(policyOf(when('cpu > 80', '+1'))), settings)).toEqual([]);
});

test('a file is looked at, and the exit code tells', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'lint-'));
  const written = jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  try {
    const file = join(folder, 'policy.json');
    await writeFile(file, JSON.stringify(policyOf(when('cpu => 80', '+1'))));
    expect(lintFileCommand(file, settings)).toBe(1);
    expect(written.mock.calls.join('')).toContain(`${file}: rule 1 can never fire: "=>" is no operator`);
    await writeFile(file, JSON.stringify(policyOf(when('cpu > 80', '+1'))));
    expect(lintFileCommand(file, settings)).toBe(0);
    expect(lintFileCommand(join(folder, 'none.json'), settings)).toBe(1);
  } finally {
    await rm(folder, { recursive: true });
  }
});
