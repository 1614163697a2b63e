import { describe, expect, test } from '@jest/globals';
import { parseQueryResponse, parseReadResponse } from '../../src/log-cache/rest-responses.js';

const read = (answer: unknown) => parseReadResponse(JSON.stringify(answer));
const query = (answer: unknown) => parseQueryResponse(JSON.stringify(answer));
const badAnswer = expect.objectContaining({ kind: 'bad-answer' });

describe('a /read answer', () => {
  test.each([
    [{ envelopes: null }],
    [{ envelopes: {} }],
    [{ envelopes: { batch: null } }],
    [{ envelopes: { batch: [] } }],
  ])('%j holds no envelopes', (answer) => expect(read(answer)).toEqual([]));

  test('fields that proto JSON may leave out are zero or empty', () => {
    const gauge = { metrics: { a: {}, b: { unit: null, value: null } } };
    expect(read({ envelopes: { batch: [{ timestamp: '5', gauge }] } })).toEqual([
      {
        timestamp: '5',
        sourceId: '',
        instanceId: '',
        tags: {},
        metrics: [
          { name: 'a', unit: '', value: 0 },
          { name: 'b', unit: '', value: 0 },
        ],
      },
    ]);
  });

  test('an envelope of another type has no metrics', () => {
    const [envelope] = read({ envelopes: { batch: [{ timestamp: '5', log: { payload: '' } }] } });
    expect(envelope?.metrics).toEqual([]);
  });

  test('a metric may be named like something that every object has', () => {
    const body =
      '{"envelopes":{"batch":[{"timestamp":"5","gauge":{"metrics":{"__proto__":{"value":3},"constructor":{"value":4}}}}]}}';
    expect(parseReadResponse(body)[0]?.metrics.map(({ name, value }) => [name, value])).toEqual([
      ['__proto__', 3],
      ['constructor', 4],
    ]);
  });

  test.each([
    ['no timestamp', {}],
    ['a timestamp that has lost digits', { timestamp: 1_755_700_000_123_456_000 }],
    ['a timestamp that is no number', { timestamp: 'now' }],
    ['tags that are a list', { timestamp: '5', tags: [] }],
    ['a gauge that is a number', { timestamp: '5', gauge: 7 }],
    ['a value that is no number', { timestamp: '5', gauge: { metrics: { a: { value: 'many' } } } }],
    ['an empty value', { timestamp: '5', gauge: { metrics: { a: { value: '' } } } }],
    ['a unit that is no text', { timestamp: '5', gauge: { metrics: { a: { unit: 5 } } } }],
  ])('with %s is refused', (_what, envelope) => {
    expect(() => read({ envelopes: { batch: [envelope] } })).toThrow(badAnswer);
  });

  test.each([
    ['lists', '[', ']'],
    ['objects', '{"batch":', '}'],
  ])('%s nested very deeply are refused wherever they stand', (_what, open, close) => {
    // Several times what the stack has room for.
    const levels = 50_000;
    const deep = `${open.repeat(levels)}1${close.repeat(levels)}`;
    const envelope = (text: string) => `{"envelopes":{"batch":[{"timestamp":"5",${text}}]}}`;
    const bodies = [
      deep,
      `{"envelopes":${deep}}`,
      `{"envelopes":{"batch":${deep}}}`,
      `{"envelopes":{"batch":[{"timestamp":${deep}}]}}`,
      envelope(`"instance_id":${deep}`),
      envelope(`"gauge":{"metrics":{"a":{"unit":${deep}}}}`),
      envelope(`"gauge":{"metrics":{"a":{"value":${deep}}}}`),
      open.repeat(levels),
    ];
    for (const body of bodies) expect(() => parseReadResponse(body)).toThrow(badAnswer);
    const vector = (text: string) => `{"status":"success","data":{"resultType":"vector","result":${text}}}`;
    const answers = [
      `{"status":${deep}}`,
      `{"status":"success","data":{"resultType":${deep}}}`,
      vector(deep),
      vector(`[{"metric":{},"value":${deep}}]`),
      vector(`[{"metric":{},"value":[1,${deep}]}]`),
    ];
    for (const body of answers) expect(() => parseQueryResponse(body)).toThrow(badAnswer);
  });

  test('the message of a refusal is short', () => {
    expect(() => parseReadResponse('x'.repeat(10_000))).toThrow(/^.{1,200}$/);
  });
});

describe('a /query answer', () => {
  const vector = (result: unknown) => ({ status: 'success', data: { resultType: 'vector', result } });

  test.each([
    ['12.75', 12.75],
    ['NaN', NaN],
    ['+Inf', Infinity],
    ['-Inf', -Infinity],
    ['0', 0],
  ])('value %s is %d', (text, value) => {
    expect(query(vector([{ metric: { source_id: 'a' }, value: [1755700000.0, text] }]))).toEqual([
      { labels: { source_id: 'a' }, value },
    ]);
  });

  test('a vector may be empty or null', () => {
    expect(query(vector([]))).toEqual([]);
    expect(query(vector(null))).toEqual([]);
  });

  test.each([
    [{ status: 'error', errorType: 'internal', error: 'x' }],
    [{ status: 'success' }],
    // log-cache writes this when it has no result at all; read as an empty vector it would become a zero.
    [{ status: 'success', data: { resultType: '' } }],
    [{ status: 'success', data: { resultType: 'vector' } }],
    [{ status: 'success', data: { resultType: 'matrix', result: [] } }],
    [vector([{ metric: {}, value: [1] }])],
    [vector([{ metric: {} }])],
    [vector({})],
  ])('%j is refused', (answer) => {
    expect(() => query(answer)).toThrow(badAnswer);
  });
});
