import { LogCacheError, type VectorSample, type Window } from './log-cache.js';
import {
  bytes,
  decoding,
  eachField,
  endOfMessage,
  fixed64,
  key,
  longOf,
  Reader,
  textEntry,
  varint,
  Writer,
} from './protobuf-fields.js';

/* log-cache's gRPC API, as far as it is used here: requests, and responses to queries. Field numbers are the contract. */

export const readPath = '/logcache.v1.Egress/Read';
export const instantQueryPath = '/logcache.v1.PromQLQuerier/InstantQuery';

export const envelopeTypes = { any: 0, gauge: 3, timer: 4 } as const;

export interface ReadRequestMessage extends Window {
  readonly sourceId: string;
  readonly limit: number;
  readonly type: (typeof envelopeTypes)[keyof typeof envelopeTypes];
  readonly descending: boolean;
  readonly nameFilter: string;
}

export function readRequest(request: ReadRequestMessage): Uint8Array {
  const writer = Writer.create();
  writer.uint32(key(1, bytes)).string(request.sourceId);
  writer.uint32(key(2, varint)).int64(longOf(request.startNs));
  writer.uint32(key(3, varint)).int64(longOf(request.endNs));
  writer.uint32(key(4, varint)).int64(request.limit);
  if (request.type !== envelopeTypes.any) {
    writer.uint32(key(5, bytes)).fork().int32(request.type).ldelim();
  }
  if (request.descending) writer.uint32(key(6, varint)).bool(true);
  if (request.nameFilter !== '') writer.uint32(key(7, bytes)).string(request.nameFilter);
  return writer.finish();
}

export function instantQueryRequest(query: string, timeSecs: number): Uint8Array {
  return Writer.create()
    .uint32(key(1, bytes))
    .string(query)
    .uint32(key(2, bytes))
    .string(String(timeSecs))
    .finish();
}

/** The samples of a response that must be a vector. */
export function vectorSamples(message: Uint8Array): VectorSample[] {
  return decoding(() => {
    const reader = Reader.create(message);
    let samples: VectorSample[] | null = null;
    eachField(reader, reader.len, (field) => {
      if (field !== key(2, bytes)) return false;
      const found = (samples ??= []);
      eachField(reader, endOfMessage(reader), (inner) => {
        if (inner !== key(1, bytes)) return false;
        found.push(vectorSample(reader, endOfMessage(reader)));
        return true;
      });
      return true;
    });
    if (!samples) throw new LogCacheError('bad-answer', 'log-cache did not answer with a vector');
    return samples;
  });
}

function vectorSample(reader: Reader, end: number): VectorSample {
  const labels: [string, string][] = [];
  let value = NaN;
  eachField(reader, end, (field) => {
    if (field === key(1, bytes)) labels.push(textEntry(reader, endOfMessage(reader)));
    else if (field === key(2, bytes)) value = pointValue(reader);
    else return false;
    return true;
  });
  return { labels: Object.fromEntries(labels), value };
}

function pointValue(reader: Reader): number {
  let value = 0;
  eachField(reader, endOfMessage(reader), (field) => {
    if (field !== key(2, fixed64)) return false;
    value = reader.double();
    return true;
  });
  return value;
}
