import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { gaugeEnvelopes, timerEnvelopes } from '../../src/log-cache/grpc-envelopes.js';
import {
  envelopeTypes,
  instantQueryPath,
  instantQueryRequest,
  readPath,
  readRequest,
  vectorSamples,
} from '../../src/log-cache/grpc-messages.js';
import { type GaugeTags, gaugeTags } from '../../src/log-cache/log-cache.js';
import {
  egressService,
  type EnvelopeMessage,
  type InstantQueryResultMessage,
  promqlService,
} from '../platform/grpc-definition.js';

/* What is read and written field by field, beside protobufjs, which does it from log-cache's description. */

const read = { sourceId: 'a', startNs: 1n, endNs: 2n, limit: 3, nameFilter: 'f' };
const newestGauges = { ...read, type: envelopeTypes.gauge, descending: true };

describe('requests', () => {
  test("the wire form of a read request is log-cache's", () => {
    expect(readPath).toBe('/logcache.v1.Egress/Read');
    expect(Buffer.from(readRequest(newestGauges)).toString('hex')).toBe(
      '0a0161' + '1001' + '1802' + '2003' + '2a0103' + '3001' + '3a0166',
    );
  });

  const int64s = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });

  test('a read request says what it says to protobufjs', () => {
    const types = {
      [envelopeTypes.any]: [],
      [envelopeTypes.gauge]: ['GAUGE'],
      [envelopeTypes.timer]: ['TIMER'],
    };
    const requests = fc.record({
      sourceId: fc.string({ unit: 'grapheme' }),
      startNs: int64s,
      endNs: int64s,
      limit: fc.integer({ min: 1, max: 1000 }),
      type: fc.constantFrom(...Object.values(envelopeTypes)),
      descending: fc.boolean(),
      nameFilter: fc.string(),
    });
    fc.assert(
      fc.property(requests, (request) => {
        expect(egressService.Read.requestDeserialize(Buffer.from(readRequest(request)))).toEqual({
          source_id: request.sourceId,
          start_time: String(request.startNs),
          end_time: String(request.endNs),
          limit: String(request.limit),
          envelope_types: types[request.type],
          descending: request.descending,
          name_filter: request.nameFilter,
        });
      }),
    );
  });

  test('a query says what it says to protobufjs', () => {
    expect(promqlService.InstantQuery.path).toBe(instantQueryPath);
    const request = Buffer.from(instantQueryRequest('sum(http{source_id="ä"})', 1_755_700_000));
    expect(promqlService.InstantQuery.requestDeserialize(request)).toEqual({
      query: 'sum(http{source_id="ä"})',
      time: '1755700000',
    });
  });
});

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.string({ minLength: 60, maxLength: 140 }),
);
const name = text.filter((each) => each !== '__proto__');
const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String);
const tagName = fc.oneof(
  fc.constantFrom(...gaugeTags, 'app_id', 'job', 'process_name', 'process_instance_xx'),
  name,
);
const metrics = fc.dictionary(name, fc.record({ unit: text, value: fc.double() }), {
  maxKeys: 3,
  noNullPrototype: true,
});
const timer = fc.record({ name, start: int64, stop: int64 });
/** Few times and ids, so that many envelopes share them. */
const head = fc.record({
  timestamp: fc.oneof(fc.constantFrom('1755700000000000000', '1755700000000000001'), int64),
  source_id: fc.oneof(fc.constantFrom('9f0e2c1a', '9f0e2c1b'), text),
  instance_id: fc.constantFrom('', '0', '1', '10'),
  deprecated_tags: fc.dictionary(name, fc.record({ text }), { maxKeys: 2, noNullPrototype: true }),
  tags: fc.dictionary(tagName, text, { maxKeys: 6, noNullPrototype: true }),
});
const merged = (parts: fc.Arbitrary<object>) => fc.tuple(head, parts).map(([a, b]) => ({ ...a, ...b }));
const gauge = merged(fc.record({ gauge: fc.record({ metrics }) }));
const other = merged(
  fc.oneof(
    fc.record({ log: fc.record({ payload: fc.constant(Buffer.from('a line')), type: fc.constant('ERR') }) }),
    fc.record({
      counter: fc.record({ name, delta: fc.constant('7'), total: fc.constant('18446744073709551615') }),
    }),
    fc.record({ event: fc.record({ title: text, body: text }) }),
    fc.constant({}),
  ),
);
const timerEnvelope = merged(fc.record({ timer }));

const batch = (envelopes: readonly object[]): Buffer =>
  egressService.Read.responseSerialize({ envelopes: { batch: envelopes as readonly EnvelopeMessage[] } });
/** As protobufjs reads it. */
const readAgain = (bytes: Buffer) => egressService.Read.responseDeserialize(bytes).envelopes?.batch ?? [];

describe('responses', () => {
  test('gauges are those that protobufjs reads, with the tags that are looked at', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof({ weight: 4, arbitrary: gauge }, other, timerEnvelope)), (envelopes) => {
        const bytes = batch(envelopes);
        const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1);
        expect(
          gaugeEnvelopes(bytes).map((each) => ({ ...each, metrics: [...each.metrics].sort(byName) })),
        ).toEqual(
          readAgain(bytes).map((each) => ({
            timestamp: each.timestamp,
            sourceId: each.source_id,
            instanceId: each.instance_id,
            tags: lookedAt(each.tags),
            metrics: Object.entries(each.gauge?.metrics ?? {})
              .map(([metric, value]) => ({ name: metric, ...value }))
              .sort(byName),
          })),
        );
      }),
    );
  });

  test('timers are those that protobufjs reads, with all tags', () => {
    fc.assert(
      fc.property(fc.array(timerEnvelope), (envelopes) => {
        const bytes = batch(envelopes);
        expect(timerEnvelopes(bytes)).toEqual(
          readAgain(bytes).map((each) => ({
            timestamp: each.timestamp,
            sourceId: each.source_id,
            instanceId: each.instance_id,
            tags: each.tags,
            durationNs: Number(BigInt(each.timer?.stop ?? '') - BigInt(each.timer?.start ?? '')),
          })),
        );
      }),
    );
  });

  test('an envelope that is no timer is a bad answer where timers were asked for', () => {
    fc.assert(
      fc.property(fc.oneof(gauge, other), (envelope) => {
        expect(() => timerEnvelopes(batch([envelope]))).toThrow('another envelope than a timer');
      }),
    );
  });

  test('samples are those that protobufjs reads', () => {
    const point = fc.record({ time: text, value: fc.double() });
    const labels = fc.dictionary(name, text, { maxKeys: 3, noNullPrototype: true });
    fc.assert(
      fc.property(fc.array(fc.record({ metric: labels, point: fc.option(point) })), (samples) => {
        const bytes = promqlService.InstantQuery.responseSerialize({ vector: { samples } });
        const { vector } = promqlService.InstantQuery.responseDeserialize(bytes);
        expect(vectorSamples(bytes)).toEqual(
          vector?.samples.map((each) => ({ labels: each.metric, value: each.point?.value ?? NaN })),
        );
      }),
    );
  });

  test.each([
    ['nothing', {}],
    ['a scalar', { scalar: { time: '1', value: 2 } }],
    ['a matrix', { matrix: { series: [] } }],
  ])('%s in place of a vector is a bad answer', (_what, result) => {
    const bytes = promqlService.InstantQuery.responseSerialize(result as InstantQueryResultMessage);
    expect(() => vectorSamples(bytes)).toThrow('log-cache did not answer with a vector');
  });

  test('a response that is cut off, or changed at any place, is a bad answer or one without an error of its own', () => {
    const bytes = batch([
      {
        timestamp: '1755700000000000000',
        source_id: 'a',
        tags: { origin: 'rep' },
        gauge: { metrics: { cpu: { unit: '%', value: 1 } } },
      },
      {
        timestamp: '1755700000000000000',
        source_id: 'a',
        tags: { job: 'x' },
        gauge: { metrics: { cpu: { unit: '%', value: 2 } } },
      },
    ]);
    for (let length = 1; length < bytes.length; length++) {
      expect(() => gaugeEnvelopes(bytes.subarray(0, length))).toThrow("log-cache's answer cannot be decoded");
    }
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const changed = Buffer.from(bytes);
        changed[at] = byte;
        for (const decode of [gaugeEnvelopes, timerEnvelopes, vectorSamples]) {
          try {
            decode(changed);
          } catch (error) {
            expect(error).toMatchObject({ name: 'LogCacheError', kind: 'bad-answer' });
          }
        }
      }),
      { numRuns: 500 },
    );
  });
});

function lookedAt(tags: GaugeTags): GaugeTags {
  return Object.fromEntries(
    gaugeTags.flatMap((each) => (tags[each] === undefined ? [] : [[each, tags[each]]])),
  );
}
