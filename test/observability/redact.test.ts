import { describe, expect, test } from '@jest/globals';
import { describeError, redact } from '../../src/observability/redact.js';
import { redactText } from '../../src/observability/redact-text.js';

const jwt = `eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJldmVudGdlbmVyYXRvciJ9.c2lnbmF0dXJlLWlzLXNlY3JldA`;
const pemKey = '-----BEGIN RSA PRIVATE KEY-----\nMIIEhunter2\n-----END RSA PRIVATE KEY-----';

/** What must not stand in a log line, written so that one search finds it in every case below. */
const nastyTexts: Record<string, string> = {
  'password in a URL': 'postgres://autoscaler:hunter2@10.0.0.1:5432/policies',
  'percent-encoded password in a URL': 'postgres://autoscaler:p%40hunter2%2F%3A@10.0.0.1/policies',
  'password in a URL of several hosts': 'postgres://eg:hunter2@one:5432,[::1]:5433/policies',
  'password with an unencoded @ and / in a URL': 'bad URL postgres://autoscaler:p@ss/hunter2@10.0.0.1/db',
  'token as user of a URL': 'https://hunter2@log-cache.example.com/api',
  'two URLs in one text': 'https://a:hunter2@x/ and https://b:hunter2@y/',
  'a whole URL percent-encoded': 'https://x/?next=postgres%3A%2F%2Fu%3Ahunter2%40db%2Fp',
  'query parameter': 'https://uaa/oauth/token?client_id=eg&client_secret=hunter2&x=1',
  'driver parameter': 'postgres://db/p?sslmode=require&sslpassword=hunter2',
  'percent-encoded query parameter': 'redirect=%3Fpassword%3Dhunter2',
  'form body': 'grant_type=password&username=u&password=hunter2',
  'libpq string': "host=db user=u password='it is hunter2' dbname=p",
  'JSON in a text': '{"error":"x","password":"hun\\"ter2 hunter2","n":1}',
  'JSON inside JSON': '{"body":"{\\"client_secret\\":\\"hunter2\\"}"}',
  'single-quoted key': "{'password': 'hunter2'}",
  'YAML line': 'bad indentation at line 3:\n\n  client_secret: hunter2\n  ^',
  'YAML line with quotes': 'password: "hunter2 hunter2"',
  'Authorization header': 'GET / HTTP/1.1\r\nAuthorization: Basic dXNlcjpodW50ZXIy hunter2\r\nHost: x',
  'Authorization header without a scheme': 'authorization: hunter2',
  'raw header list': '["Authorization","hunter2"]',
  'Cookie header': 'Cookie: a=1; session=hunter2',
  'lower-case bearer token': 'sent bearer hunter2-0fcbc1eb8f5a4b1d8e-r to log-cache',
  'bearer token in a query': 'authz=Bearer%20hunter2abcdef012345',
  'refresh token': 'refresh_token=hunter2-r',
  'token after a colon': 'access_token: hunter2hunter2hunter2',
  'private key': `cannot read ${pemKey}`,
  'private key in one escaped line': `{"pem":"${pemKey.replaceAll('\n', '\\n')}"}`,
  'private key without an end': pemKey.slice(0, 45),
  'upper-case name': 'DB_PASSWORD=hunter2',
};

describe('secrets inside text', () => {
  test.each(Object.entries(nastyTexts))('%s', (_name, text) => {
    expect(redactText(text)).not.toMatch(/hunter2|dXNlcjpodW50ZXIy/);
    expect(redactText(text)).toContain('redacted');
  });

  test.each([jwt, `Bearer ${jwt}`, `token ${jwt.slice(0, 18)}`, `x=${jwt}&y=1`, `"${jwt}"`])(
    'token %#',
    (text) => {
      expect(redactText(text)).not.toContain('eyJ');
    },
  );

  test('what tells an operator something stays', () => {
    for (const text of [
      'postgres://autoscaler.example.com:5432/policies?sslmode=verify-full',
      'connect ECONNREFUSED 10.0.0.1:5432',
      'metricCollector.uaa.client_secret: must be a string',
      'healthcheck password is empty',
      'password authentication failed for user "autoscaler"',
      'Basic authentication is not configured',
      'invalid token: expired',
      'no app has the guid 9f0e3b1c-7d1f-4a53-8d0c-3a2c4a1f9e77',
    ]) {
      expect(redactText(text)).toBe(text);
    }
    expect(redactText('https://u:p@db.example.com/x?password=y&z=1')).toBe(
      'https://[redacted]@db.example.com/x?password=[redacted]&z=1',
    );
  });

  test('a huge text is cut, and a secret at the cut is not cut in half', () => {
    const padding = 'a '.repeat(1020);
    const text = `${padding}postgres://user:hunter2${'x'.repeat(500)}@host/${' b'.repeat(1_000_000)}`;
    const result = redactText(text);
    expect(result.length).toBeLessThan(2200);
    expect(result).not.toContain('hunter2');
    expect(result).toContain(`[${text.length} characters]`);
  });

  test.each(['eyJ', '://', 'password=', '-----BEGIN PRIVATE KEY-----', '\\"', 'token: ', 'bearer '])(
    'a long text of nothing but %p is not read as a whole',
    (piece) => {
      // An expression that goes back over so much text would not end.
      expect(redactText(piece.repeat(1_000_000)).length).toBeLessThan(2200);
    },
  );
});

describe('secrets under their names', () => {
  test.each([
    'password',
    'Password',
    'client_secret',
    'clientSecret',
    'CLIENT-SECRET',
    'Authorization',
    'proxy-authorization',
    'set-cookie',
    'access_token',
    'refreshToken',
    'token',
    'private_key',
    'x-forwarded-client-cert',
    'credentials',
    'pwd',
  ])('%s is redacted at any depth', (name) => {
    const result = redact({ a: [{ b: { [name]: 'hunter2' } }], [name]: { nested: ['hunter2'] } });
    expect(result).toEqual({ a: [{ b: { [name]: '[redacted]' } }], [name]: '[redacted]' });
  });

  test('names that only resemble secrets, flags and absent values stay', () => {
    const facts = { tokenAgeSeconds: 3, passed: true, password: null, credentials: false, compass: 'n' };
    expect(redact(facts)).toEqual(facts);
  });

  test('text that is a key or inside a map is searched too', () => {
    expect(redact(new Map([['https://u:hunter2@h', new Set(['password=hunter2'])]]))).toEqual({
      'https://[redacted]@h': ['password=[redacted]'],
    });
  });
});

describe('values that are not plain data', () => {
  test('become something readable', () => {
    expect(
      redact({
        big: 2n ** 63n,
        nan: NaN,
        date: new Date(0),
        badDate: new Date(NaN),
        url: new URL('https://u:hunter2@h/'),
        buffer: Buffer.from('hunter2'),
        parsedBuffer: JSON.parse(JSON.stringify(Buffer.from('hunter2'))) as unknown,
        bytes: new Uint16Array(2).buffer,
        call: () => 1,
        symbol: Symbol('hunter2'),
        nothing: undefined,
      }),
    ).toEqual({
      big: '9223372036854775808',
      nan: 'NaN',
      date: '1970-01-01T00:00:00.000Z',
      badDate: 'Invalid Date',
      url: 'https://[redacted]@h/',
      buffer: '[7 bytes]',
      parsedBuffer: '[7 bytes]',
      bytes: '[4 bytes]',
      call: '[function]',
      symbol: '[symbol]',
      nothing: undefined,
    });
  });

  test('cycles, depth and size end', () => {
    const cycle: Record<string, unknown> = { list: [] };
    cycle['self'] = cycle;
    expect(redact(cycle)).toEqual({ list: [], self: '[circular]' });

    let deep: unknown = 'bottom';
    for (let i = 0; i < 10_000; i++) deep = { deep };
    expect(JSON.stringify(redact(deep))).toContain('[too deep]');

    const wide = Array.from({ length: 200 }, () => Array.from({ length: 200 }, () => 'x'));
    expect(JSON.stringify(redact(wide)).length).toBeLessThan(20_000);
    const manyKeys = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`k${i}`, i]));
    expect(redact(manyKeys)).toMatchObject({ k49: 49, '[more]': 10 });
  });

  test('the same object twice is no cycle', () => {
    const shared = { a: 1 };
    expect(redact([shared, shared])).toEqual([shared, shared]);
  });

  test('getters, proxies and toJSON that throw do no harm', () => {
    const hostile = {
      get broken(): string {
        throw new Error('hunter2');
      },
      toJSON(): never {
        throw new Error('hunter2');
      },
      proxy: new Proxy(
        {},
        {
          ownKeys: () => {
            throw new Error('hunter2');
          },
        },
      ),
    };
    expect(redact(hostile)).toEqual({
      broken: '[unreadable]',
      toJSON: '[function]',
      proxy: '[unreadable]',
    });
  });

  test('a key named __proto__ stays a key', () => {
    const result = redact(JSON.parse('{"__proto__":{"polluted":1}}'));
    expect(JSON.stringify(result)).toBe('{"__proto__":{"polluted":1}}');
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('objects without a prototype are data', () => {
    const bare = Object.assign(Object.create(null) as object, { a: 1 });
    expect(redact(bare)).toEqual({ a: 1 });
  });
});

describe('errors', () => {
  test('message, code and causes stand in one line, secrets do not', () => {
    const cause = Object.assign(new Error('connect to postgres://u:hunter2@db failed'), {
      code: 'ECONNREFUSED',
    });
    const error = new Error('policy_db does not answer', { cause });
    expect(describeError(error)).toBe(
      'policy_db does not answer: connect to postgres://[redacted]@db failed (ECONNREFUSED)',
    );
    expect(redact({ reason: error })).toEqual({ reason: describeError(error) });
  });

  test('an aggregate without a message is described by its parts', () => {
    const error = new AggregateError([new Error('connect ::1'), new Error('connect 127.0.0.1')], '');
    expect(describeError(error)).toBe('AggregateError: connect ::1: connect 127.0.0.1');
  });

  test('whatever was thrown is described', () => {
    const circular = new Error('a');
    circular.cause = circular;
    expect(describeError(circular)).toBe('a');
    expect(describeError('text')).toBe('text');
    expect(describeError(undefined)).toBe('undefined was thrown');
    expect(describeError(Object.create(null))).toBe('an object that is no error was thrown');
    const hostile = Object.defineProperty(new Error(), 'message', {
      get: () => {
        throw new Error('hunter2');
      },
    });
    expect(describeError(hostile)).toBe('[unreadable]');
    expect(describeError(Object.assign(new Error(''), { message: 5 }))).toBe('Error');
  });
});
