import { expect, test } from '@jest/globals';
import { membersTable } from '../../src/cli/members-command.js';

test('members are shown as a table', () => {
  const member = {
    leaseId: 'lease',
    instanceGuid: '6a2f4c1e-0d3b-4d55-7c61-90ab',
    instanceIndex: 0,
    since: '2026-08-01T12:00:00.000Z',
    expiresInSecs: 9.2,
    appsOwned: 1500,
  };
  expect(membersTable([member, { ...member, instanceGuid: 'b', instanceIndex: 11, appsOwned: 7 }])).toBe(
    [
      'INDEX  INSTANCE                      LEASE  SINCE                     APPS  EXPIRES IN',
      '0      6a2f4c1e-0d3b-4d55-7c61-90ab  lease  2026-08-01T12:00:00.000Z  1500  9.2 s',
      '11     b                             lease  2026-08-01T12:00:00.000Z  7     9.2 s',
      '',
    ].join('\n'),
  );
});

test('a table without members says so', () => {
  expect(membersTable([])).toBe('no members\n');
});
