import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { scanEnvelopes } from '../../src/log-cache/envelope-scanner.js';
import { parseEnvelopes, parseReadResponse } from '../../src/log-cache/rest-responses.js';

/* The scanner must say what JSON.parse says, or nothing. */

interface Sent {
  readonly timestamp: string;
  readonly container: number;
  readonly name: string;
  readonly unit: string;
  readonly value: number | string;
}

type Tags = Readonly<Record<string, string>>;

/** As proto JSON writes it: a blank behind each comma, or none. */
function answer(sent: readonly Sent[], containers: readonly { instance: string; tags: Tags }[], blank = '') {
  const comma = `,${blank}`;
  const json = (value: unknown) => JSON.stringify(value);
  const object = (fields: Readonly<Record<string, string>>) =>
    `{${Object.entries(fields)
      .map(([name, value]) => `${json(name)}:${value}`)
      .join(comma)}}`;
  const batch = sent.map(({ timestamp, container, name, unit, value }) => {
    const { instance = '', tags = {} } = containers[container % containers.length] ?? {};
    return object({
      timestamp: json(timestamp),
      source_id: json('9f0e2c1a-0000-4000-8000-000000000001'),
      instance_id: json(instance),
      deprecated_tags: '{}',
      tags: object(Object.fromEntries(Object.entries(tags).map(([tag, text]) => [tag, json(text)]))),
      gauge: object({
        metrics: `{${json(name)}:${object({ unit: json(unit), value: json(value) })}}`,
      }),
    });
  });
  return `{"envelopes":{"batch":[${batch.join(comma)}]}}\n`;
}

const web = (instance: string) => ({
  instance,
  tags: { origin: 'rep', process_type: 'web', guid: `g-${instance}` },
});
const cpu = (timestamp: string, container: number, value: number | string = 12.75): Sent => ({
  timestamp,
  container,
  name: 'cpu',
  unit: 'percentage',
  value,
});

test.each([[''], [' ']])(
  'envelopes with %j behind commas are scanned, and nothing of them is lost',
  (blank) => {
    const sent = [
      cpu('1755700000123456000', 0),
      { ...cpu('1755700000123456000', 0, 268435456), name: 'memory', unit: 'bytes' },
      cpu('1755700000000456000', 1, 'NaN'),
      cpu('1755699990123456000', 0, -0.5e-7),
      cpu('1755699990000456000', 1, 0),
    ];
    const body = answer(sent, [web('0'), web('1')], blank);
    expect(scanEnvelopes(body)).toEqual(parseEnvelopes(body));
    expect(scanEnvelopes(body)?.[2]).toEqual({
      timestamp: '1755700000000456000',
      sourceId: '9f0e2c1a-0000-4000-8000-000000000001',
      instanceId: '1',
      tags: { origin: 'rep', process_type: 'web', guid: 'g-1' },
      metrics: [{ name: 'cpu', unit: 'percentage', value: NaN }],
    });
  },
);

test('an empty answer is scanned', () => {
  expect(scanEnvelopes('{"envelopes":{"batch":[]}}\n')).toEqual([]);
});

test('containers that differ in one tag far behind are told apart', () => {
  const containers = [web('0'), { ...web('0'), tags: { ...web('0').tags, guid: 'g-x' } }];
  const body = answer([cpu('1', 0), cpu('2', 1), cpu('3', 0), cpu('4', 1)], containers);
  expect(scanEnvelopes(body)?.map(({ tags }) => tags)).toMatchObject(
    ['g-0', 'g-x', 'g-0', 'g-x'].map((guid) => ({ guid })),
  );
});

const one = answer([cpu('1', 0)], [web('0')]);
const two = answer([cpu('1', 0), cpu('2', 0)], [web('0')]);

describe('what is not as expected is left to JSON.parse', () => {
  const secondWith = (from: string, to: string) => {
    const at = two.lastIndexOf(from);
    return two.slice(0, at) + to + two.slice(at + from.length);
  };
  test.each([
    ['no object', '[]'],
    ['no batch', '{"envelopes":null}'],
    ['blanks elsewhere', one.replace('"gauge":', '"gauge" :')],
    ['another envelope type', one.replace('"gauge":{"metrics"', '"log":{"payload"')],
    ['several gauges in an envelope', one.replace('"metrics":{', '"metrics":{"a":{"unit":"","value":1},')],
    ['an envelope without gauges', one.replace(/"metrics":\{.*\}\}\}\}/, '"metrics":{}}}')],
    ['fields in another order', one.replace(/("unit":"percentage"),("value":12.75)/, '$2,$1')],
    ['an escape in a name', one.replace('"cpu"', '"cp\\u0075"')],
    ['an escape in a unit', secondWith('"percentage"', '"\\"percentage"')],
    ['a control character in a unit', secondWith('"percentage"', '"percent\nage"')],
    ['a number that is none', secondWith('12.75', '012.75')],
    ['a value that is no number', secondWith('12.75', 'true')],
    ['a timestamp that is no string', secondWith('"2"', '2')],
    ['a timestamp of 20 digits', secondWith('"2"', '"12345678901234567890"')],
    ['an end that is cut off', two.slice(0, -4)],
    ['something behind the end', `${two}{}`],
    ['something between envelopes', two.replace('}}}},{', '}}}},,{')],
    ['a missing brace', secondWith('}}}}', '}}}')],
    ['a tag that is no text', one.replace('"origin":"rep"', '"origin":rep')],
    [
      'an envelope within a tag',
      one.replace('"origin":"rep"', '"x":{"gauge":{"metrics":{"a":{"unit":"","value":1}}}}'),
    ],
  ])('%s', (_what, body) => {
    expect(scanEnvelopes(body)).toBeNull();
  });

  test('and a value that nobody can read is refused either way', () => {
    const body = secondWith('12.75', '"many"');
    expect(() => parseReadResponse(body)).toThrow(expect.objectContaining({ kind: 'bad-answer' }));
  });
});

const texts = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('', '"gauge":{"metrics":{"', '}}}},{"timestamp":"5', '\\', '"', 'ümläut', '\u2028'),
);
const containers = fc.array(
  fc.record({ instance: texts, tags: fc.dictionary(texts, texts, { maxKeys: 4, noNullPrototype: true }) }),
  { minLength: 1, maxLength: 3 },
);
const sent = fc.array(
  fc.record({
    timestamp: fc.bigInt({ min: -(2n ** 62n), max: 2n ** 62n }).map(String),
    container: fc.nat(2),
    name: fc.oneof({ weight: 5, arbitrary: fc.constantFrom('cpu', 'memory', '__proto__') }, texts),
    unit: fc.oneof({ weight: 5, arbitrary: fc.constantFrom('bytes', '') }, texts),
    value: fc.oneof(
      { weight: 5, arbitrary: fc.double({ noNaN: true, noDefaultInfinity: true }) },
      fc.constantFrom<number | string>('NaN', 'Infinity', '-Infinity', '12', 0, 1e21, 5e-324),
    ),
  }),
  { maxLength: 8 },
);

test('what is scanned is what JSON.parse reads, whatever tags, names and units hold', () => {
  let scannedAll = 0;
  fc.assert(
    fc.property(sent, containers, fc.constantFrom('', ' '), (all, from, blank) => {
      const body = answer(all, from, blank);
      const scanned = scanEnvelopes(body);
      if (scanned === null) return;
      scannedAll++;
      expect(scanned).toEqual(parseEnvelopes(body));
    }),
    { numRuns: 500 },
  );
  expect(scannedAll).toBeGreaterThan(100);
});

test('a damaged answer is never scanned as something that JSON.parse would not read', () => {
  const damage = fc.record({
    at: fc.nat(),
    length: fc.nat(3),
    put: fc.constantFrom('', '"', '}', ',', '{', '\\', ' ', '5', '}}}}', '"gauge":'),
  });
  fc.assert(
    fc.property(sent, containers, damage, (all, from, { at, length, put }) => {
      const good = answer(all, from);
      const place = at % good.length;
      const body = good.slice(0, place) + put + good.slice(place + length);
      let scanned;
      try {
        scanned = scanEnvelopes(body);
      } catch {
        expect(() => parseEnvelopes(body)).toThrow();
        return;
      }
      if (scanned !== null) expect(scanned).toEqual(parseEnvelopes(body));
    }),
    { numRuns: 2000 },
  );
});
