import { expect, test } from '@jest/globals';
import { scopeProblem } from '../../src/uaa/scope-problem.js';

function jwt(claims: unknown): string {
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part({ alg: 'RS256' })}.${part(claims)}.signature`;
}

test.each([['logs.admin'], ['doppler.firehose'], ['openid', 'logs.admin']])(
  'a token with the scopes %s %s has no problem',
  (...scope) => {
    expect(scopeProblem(jwt({ client_id: 'eventgenerator', scope }))).toBeNull();
    expect(scopeProblem(`bearer ${jwt({ client_id: 'eventgenerator', scope: scope.join(' ') })}`)).toBeNull();
  },
);

test('a token without an admin scope names the client, the scope and the remedy', () => {
  expect(scopeProblem(jwt({ client_id: 'autoscaler', scope: ['cloud_controller.read'] }))).toBe(
    'The token of UAA client "autoscaler" lacks the scope logs.admin or doppler.firehose (it has cloud_controller.read), so log-cache shows only apps that the token may see: add logs.admin to the authorities of the client',
  );
  expect(scopeProblem(jwt({ cid: 'autoscaler' }))).toContain('it has no scope at all');
});

test('for a user, the remedy is the group', () => {
  expect(scopeProblem(jwt({ client_id: 'cf', user_name: 'jo', scope: ['openid'] }))).toContain(
    'add user "jo" to the group logs.admin',
  );
});

test.each(['2c1dopaque', '', 'a.b.c', 'e30', `x.${Buffer.from('[1').toString('base64url')}.y`, 'a.bnVsbA.c'])(
  'what is no JWT is told as such: "%s"',
  (token) => {
    expect(scopeProblem(token)).toContain('opaque token');
  },
);
