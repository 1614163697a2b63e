import { afterAll, describe, expect, test } from '@jest/globals';
import { hashSync } from 'bcryptjs';
import { systemClock } from '../../src/util/clock.js';
import type { BasicAuthConfig } from '../../src/config/config.js';
import { createBasicAuth } from '../../src/http/basic-auth.js';
import { createBcryptPool, type BcryptJob } from '../../src/http/bcrypt-pool.js';
import { ManualClock } from '../support/manual-clock.js';
import { basic } from './support.js';

const userHash = hashSync('prometheus', 4);
const passwordHash = hashSync('s3cret:ü', 4);

const pool = createBcryptPool(systemClock);
afterAll(() => pool.close());

const plainUser = { plain: 'prometheus' };
const plainPassword = { plain: 's3cret:ü' };
const hashedUser = { bcrypt: userHash };
const hashedPassword = { bcrypt: passwordHash };

function check(config: BasicAuthConfig, username: string, password: string) {
  return createBasicAuth(config, pool).check(basic(username, password).authorization);
}

describe('every combination that the configuration accepts', () => {
  test('none: nothing is asked for', async () => {
    const auth = createBasicAuth({ username: null, password: null }, pool);
    expect(auth.configured).toBe(false);
    expect(await auth.check(undefined)).toBe('granted');
  });

  test.each<[string, BasicAuthConfig]>([
    ['both plain', { username: plainUser, password: plainPassword }],
    ['both hashed', { username: hashedUser, password: hashedPassword }],
    ['user hashed', { username: hashedUser, password: plainPassword }],
    ['password hashed', { username: plainUser, password: hashedPassword }],
  ])('%s', async (_name, config) => {
    expect(createBasicAuth(config, pool).configured).toBe(true);
    expect(await check(config, 'prometheus', 's3cret:ü')).toBe('granted');
    expect(await check(config, 'prometheus', 's3cret')).toBe('denied');
    expect(await check(config, 'Prometheus', 's3cret:ü')).toBe('denied');
    expect(await check(config, '', '')).toBe('denied');
    expect(await check(config, 's3cret:ü', 'prometheus')).toBe('denied');
  });

  test('either hash alone protects, and the other half must be empty as in Go', async () => {
    const onlyUser = { username: hashedUser, password: null };
    const onlyPassword = { username: null, password: hashedPassword };
    for (const config of [onlyUser, onlyPassword]) {
      expect(createBasicAuth(config, pool).configured).toBe(true);
      expect(await createBasicAuth(config, pool).check(undefined)).toBe('denied');
      expect(await check(config, 'prometheus', 's3cret:ü')).toBe('denied');
    }
    expect(await check(onlyUser, 'prometheus', '')).toBe('granted');
    expect(await check(onlyPassword, '', 's3cret:ü')).toBe('granted');
    expect(await check(onlyPassword, '', '')).toBe('denied');
  });
});

test.each([
  undefined,
  '',
  'Basic',
  'Basic ',
  'Bearer abc',
  'Basic !!!',
  `Basic ${Buffer.from('nocolon').toString('base64')}`,
  `Digest ${Buffer.from('prometheus:s3cret:ü').toString('base64')}`,
])('Authorization: %p is denied', async (authorization) => {
  const auth = createBasicAuth({ username: plainUser, password: plainPassword }, pool);
  expect(await auth.check(authorization)).toBe('denied');
});

test('a header of any length is denied quickly', async () => {
  const auth = createBasicAuth({ username: plainUser, password: plainPassword }, pool);
  expect(await auth.check(`Basic ${'A'.repeat(30_000)}`)).toBe('denied');
});

test('a header is looked at up to 2,048 characters', async () => {
  const auth = createBasicAuth({ username: plainUser, password: plainPassword }, pool);
  const { authorization } = basic('prometheus', 's3cret:ü');
  expect(await auth.check(authorization.padEnd(2048))).toBe('granted');
  expect(await auth.check(authorization.padEnd(2049))).toBe('denied');
});

test('the scheme is written in any case', async () => {
  const auth = createBasicAuth({ username: plainUser, password: plainPassword }, pool);
  expect(await auth.check(basic('prometheus', 's3cret:ü').authorization.replace('Basic', 'bAsIc'))).toBe(
    'granted',
  );
});

describe('hashed credentials', () => {
  /** Answers as told, and counts. */
  function fakePool(answers: (boolean | 'busy')[]) {
    const jobs: BcryptJob[] = [];
    return {
      jobs,
      compare: async (job: BcryptJob) => {
        jobs.push(job);
        return answers.shift() ?? false;
      },
    };
  }
  const config = { username: hashedUser, password: hashedPassword };

  test('are remembered in 16 spellings, and those beyond are compared each time', async () => {
    const bcrypt = fakePool(Array.from({ length: 19 }, () => true));
    const auth = createBasicAuth(config, bcrypt);
    const isCompared = async (spelling: number) => {
      const before = bcrypt.jobs.length;
      expect(await auth.check(basic(`user-${spelling}`, 'b').authorization)).toBe('granted');
      return bcrypt.jobs.length > before;
    };
    for (let i = 0; i < 17; i++) expect(await isCompared(i)).toBe(true);
    expect([await isCompared(0), await isCompared(15), await isCompared(16)]).toEqual([false, false, true]);
  });

  test('are compared once while they stay right', async () => {
    const bcrypt = fakePool([true]);
    const auth = createBasicAuth(config, bcrypt);
    expect(await auth.check(basic('a', 'b').authorization)).toBe('granted');
    expect(await auth.check(basic('a', 'b').authorization)).toBe('granted');
    expect(bcrypt.jobs).toEqual([
      [
        { text: 'a', hash: userHash },
        { text: 'b', hash: passwordHash },
      ],
    ]);
    expect(await auth.check(basic('a', 'c').authorization)).toBe('denied');
    expect(await auth.check(basic('a:', 'b').authorization)).toBe('denied');
  });

  test('wrong ones are compared each time, and a wrong plain half does not save the comparison', async () => {
    const bcrypt = fakePool([false, true]);
    const auth = createBasicAuth({ username: plainUser, password: hashedPassword }, bcrypt);
    expect(await auth.check(basic('prometheus', 'x').authorization)).toBe('denied');
    expect(await auth.check(basic('wrong', 'x').authorization)).toBe('denied');
    expect(await auth.check(basic('wrong', 'x').authorization)).toBe('denied');
    expect(bcrypt.jobs).toHaveLength(3);
  });

  test('are not judged while the comparing thread is overrun', async () => {
    const auth = createBasicAuth(config, fakePool(['busy', true]));
    expect(await auth.check(basic('a', 'b').authorization)).toBe('busy');
    expect(await auth.check(basic('a', 'b').authorization)).toBe('granted');
  });
});

describe('the comparing thread', () => {
  test('a flood of wrong passwords is bounded, and those remembered stay welcome', async () => {
    const slowPool = createBcryptPool(systemClock);
    const auth = createBasicAuth(
      { username: hashedUser, password: { bcrypt: hashSync('right', 8) } },
      slowPool,
    );
    const right = basic('prometheus', 'right').authorization;
    expect(await auth.check(right)).toBe('granted');
    const flood = Array.from({ length: 100 }, (_, i) =>
      auth.check(basic('prometheus', `wrong${i}`).authorization),
    );
    expect(await auth.check(right)).toBe('granted');
    const answers = await Promise.all(flood);
    expect(answers.filter((answer) => answer === 'denied').length).toBeLessThanOrEqual(10);
    expect(answers.filter((answer) => answer === 'busy').length).toBeGreaterThanOrEqual(90);
    await slowPool.close();
  });

  test('a comparison without end is given up at the deadline, and the next one works', async () => {
    const clock = new ManualClock();
    const slowPool = createBcryptPool(clock);
    const right = { text: 'prometheus', hash: userHash };
    expect(await slowPool.compare([right])).toBe(true);
    const endless = slowPool.compare([{ text: 'x', hash: `$2b$24$${'a'.repeat(53)}` }]);
    await clock.advance(10_000);
    expect(await endless).toBe('busy');
    expect(await slowPool.compare([right])).toBe(true);
    expect(clock.pendingTimers).toBe(0);
    await slowPool.close();
  });

  test('closed, it is busy', async () => {
    const closed = createBcryptPool(systemClock);
    await closed.close();
    expect(await closed.compare([{ text: 'prometheus', hash: userHash }])).toBe('busy');
  });
});
