import { runInNewContext } from 'node:vm';
import { expect, test } from '@jest/globals';
import { errorCode, errorText } from '../../src/util/errors.js';

const coded = (message: string, code: unknown) => Object.assign(new Error(message), { code });

test.each([
  ['its message', new Error('broken'), 'broken'],
  ['a message of another realm', runInNewContext('new Error("far away")'), 'far away'],
  [
    'the messages of the errors that it aggregates',
    new AggregateError([new Error('one'), coded('', 'ECONNREFUSED')]),
    'one, ECONNREFUSED',
  ],
  ['its code', coded('', 'ENOENT'), 'ENOENT'],
  ['that nothing is known', {}, 'unknown error'],
  ['what was thrown', undefined, 'undefined'],
  ['what was thrown', 'text', 'text'],
  ['what was thrown', 5, '5'],
])('an error is told by %s', (_name, error, text) => {
  expect(errorText(error)).toBe(text);
});

test('the code of an error is a text, or empty', () => {
  expect([coded('a', '42P01'), coded('a', 5), new Error('a'), 'ENOENT', null].map(errorCode)).toEqual([
    '42P01',
    '',
    '',
    '',
    '',
  ]);
});
