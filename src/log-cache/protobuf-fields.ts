import protobuf from 'protobufjs/minimal.js';
import { LogCacheError } from './log-cache.js';

/* Protobuf read field by field, so that what is not needed is skipped. The bytes themselves are protobufjs's business. */

export const { Reader, Writer } = protobuf;
export type Reader = protobuf.Reader;

/** How fields are written that are used here. */
export const varint = 0;
export const fixed64 = 1;
export const bytes = 2;

/** What stands before a field of a message. A field of another type than expected is unknown, and so skipped. */
export const key = (field: number, wireType: number): number => (field << 3) | wireType;

/** What `reader.uint32()` reads, quicker where it is one byte: most keys and lengths are. */
export function uint32(reader: Reader): number {
  const { buf, pos } = reader;
  const byte = buf[pos] ?? 0x80;
  if (byte >= 0x80 || pos >= reader.len) return reader.uint32();
  reader.pos = pos + 1;
  return byte;
}

/** Calls `read` for what stands before each field of a message. It reads the field, or says false: not wanted. */
export function eachField(reader: Reader, end: number, read: (field: number) => boolean): void {
  while (reader.pos < end) {
    const field = uint32(reader);
    if (!read(field)) skipField(reader, field);
  }
  checkEnd(reader, end);
}

export function skipField(reader: Reader, field: number): void {
  reader.skipType(field & 7);
}

/** To be called behind the last field of a message. */
export function checkEnd(reader: Reader, end: number): void {
  if (reader.pos !== end) throw new RangeError('a field is longer than its message');
}

/** Where the message ends whose length comes next. */
export function endOfMessage(reader: Reader): number {
  const length = uint32(reader);
  const end = reader.pos + length;
  if (end > reader.len) throw new RangeError('a message is longer than what holds it');
  return end;
}

/** An entry of a map of strings. */
export function textEntry(reader: Reader, end: number): [string, string] {
  const entry: [string, string] = ['', ''];
  eachField(reader, end, (field) => {
    if (field === key(1, bytes)) entry[0] = reader.string();
    else if (field === key(2, bytes)) entry[1] = reader.string();
    else return false;
    return true;
  });
  return entry;
}

/** 64 bits as protobufjs takes and gives them. */
interface Long {
  readonly low: number;
  readonly high: number;
}

export function longOf(value: bigint): protobuf.Long {
  const long: Long = { low: Number(BigInt.asIntN(32, value)), high: Number(BigInt.asIntN(32, value >> 32n)) };
  return long as protobuf.Long;
}

export function int64(reader: Reader): bigint {
  const { low, high } = reader.int64() as Long;
  return (BigInt(high) << 32n) | BigInt(low >>> 0);
}

/** What cannot be decoded is a bad answer. */
export function decoding<T>(decode: () => T): T {
  try {
    return decode();
  } catch (cause) {
    if (cause instanceof LogCacheError) throw cause;
    const reason = (cause as Error).message;
    throw new LogCacheError('bad-answer', `log-cache's answer cannot be decoded: ${reason}`, { cause });
  }
}
