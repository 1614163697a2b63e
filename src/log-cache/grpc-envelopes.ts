import {
  type GaugeEnvelope,
  type GaugeMetric,
  gaugeTags,
  LogCacheError,
  type TimerEnvelope,
} from './log-cache.js';
import {
  bytes,
  checkEnd,
  decoding,
  eachField,
  endOfMessage,
  fixed64,
  int64,
  key,
  Reader,
  skipField,
  textEntry,
  uint32,
  varint,
} from './protobuf-fields.js';
import { RecentTexts } from './recent-texts.js';

/*
 * The envelopes in log-cache's responses. A gauge has a dozen tags that nobody looks at, and the rest of it is mostly the
 * same as in others: gauges are read without making strings and objects that are not needed or are there already.
 */

/** Numbers are the contract. */
const fields = {
  timestamp: key(1, varint),
  sourceId: key(2, bytes),
  gauge: key(6, bytes),
  timer: key(7, bytes),
  instanceId: key(8, bytes),
  tags: key(9, bytes),
};
const mapKey = key(1, bytes);
const mapValue = key(2, bytes);

/** Envelopes of another type have no metrics. */
export function gaugeEnvelopes(message: Uint8Array): GaugeEnvelope[] {
  const gauges = new Gauges(message);
  return envelopesIn(gauges.reader, (end) => gauges.envelope(end));
}

/** Throws a LogCacheError if an envelope is not a timer. */
export function timerEnvelopes(message: Uint8Array): TimerEnvelope[] {
  const reader = Reader.create(message);
  return envelopesIn(reader, (end) => timerEnvelope(reader, end));
}

type Tags = { -readonly [name in keyof GaugeEnvelope['tags']]: string };

function envelopesIn<E>(reader: Reader, read: (end: number) => E): E[] {
  return decoding(() => {
    const envelopes: E[] = [];
    eachField(reader, reader.len, (field) => {
      if (field !== key(1, bytes)) return false;
      eachField(reader, endOfMessage(reader), (inner) => {
        if (inner !== key(1, bytes)) return false;
        envelopes.push(read(endOfMessage(reader)));
        return true;
      });
      return true;
    });
    return envelopes;
  });
}

/** Names, units, ids and tags: of one thread. */
const texts = new RecentTexts();

/** The lengths of the names of tags that are looked at. Of most others the length tells that they are not. */
const wantedLengths: ReadonlySet<number | undefined> = new Set(gaugeTags.map((name) => name.length));

/** Reads the gauges of one response, one after the other. */
class Gauges {
  readonly reader: Reader;
  /** The last one, and where its bytes are: the gauges of an instance and a moment share it. */
  #timestamp = '0';
  #timestampAt = 0;
  #timestampEnd = 0;

  constructor(message: Uint8Array) {
    this.reader = Reader.create(message);
  }

  envelope(end: number): GaugeEnvelope {
    const { reader } = this;
    let timestamp = '0';
    let sourceId = '';
    let instanceId = '';
    const tags: Tags = {};
    const metrics: GaugeMetric[] = [];
    while (reader.pos < end) {
      const field = uint32(reader);
      if (field === fields.tags) this.#readTag(tags);
      else if (field === fields.timestamp) timestamp = this.#readTimestamp();
      else if (field === fields.sourceId) sourceId = texts.read(reader);
      else if (field === fields.instanceId) instanceId = texts.read(reader);
      else if (field === fields.gauge) this.#readMetrics(metrics);
      else skipField(reader, field);
    }
    checkEnd(reader, end);
    return { timestamp, sourceId, instanceId, tags, metrics };
  }

  #readTag(tags: Tags): void {
    const { reader } = this;
    const end = endOfMessage(reader);
    const { buf, pos } = reader;
    // The first byte of a length of 128 or more is at least 128, which is no wanted length.
    if (buf[pos] === mapKey && !wantedLengths.has(buf[pos + 1])) {
      reader.pos = end;
      return;
    }
    let name = '';
    let value = '';
    while (reader.pos < end) {
      const field = uint32(reader);
      if (field === mapKey) name = texts.read(reader);
      else if (field === mapValue) value = texts.read(reader);
      else skipField(reader, field);
    }
    checkEnd(reader, end);
    const wanted = gaugeTags.find((each) => each === name);
    if (wanted) tags[wanted] = value;
  }

  #readTimestamp(): string {
    const { reader } = this;
    const { buf, pos } = reader;
    let at = this.#timestampAt;
    let same = pos;
    while (at < this.#timestampEnd && buf[at] === buf[same]) {
      at++;
      same++;
    }
    if (at > this.#timestampAt && at === this.#timestampEnd) {
      reader.pos = same;
      return this.#timestamp;
    }
    this.#timestamp = int64(reader).toString();
    this.#timestampAt = pos;
    this.#timestampEnd = reader.pos;
    return this.#timestamp;
  }

  #readMetrics(metrics: GaugeMetric[]): void {
    const { reader } = this;
    const end = endOfMessage(reader);
    while (reader.pos < end) {
      const field = uint32(reader);
      if (field === key(1, bytes)) metrics.push(this.#metric(endOfMessage(reader)));
      else skipField(reader, field);
    }
    checkEnd(reader, end);
  }

  #metric(end: number): GaugeMetric {
    const { reader } = this;
    let name = '';
    let unit = '';
    let value = 0;
    while (reader.pos < end) {
      const field = uint32(reader);
      if (field === mapKey) name = texts.read(reader);
      else if (field === mapValue) {
        const valueEnd = endOfMessage(reader);
        while (reader.pos < valueEnd) {
          const inner = uint32(reader);
          if (inner === key(1, bytes)) unit = texts.read(reader);
          else if (inner === key(2, fixed64)) value = reader.double();
          else skipField(reader, inner);
        }
        checkEnd(reader, valueEnd);
      } else skipField(reader, field);
    }
    checkEnd(reader, end);
    return { name, unit, value };
  }
}

function timerEnvelope(reader: Reader, end: number): TimerEnvelope {
  let [timestamp, sourceId, instanceId] = ['0', '', ''];
  let durationNs: number | null = null;
  const tags: [string, string][] = [];
  eachField(reader, end, (field) => {
    if (field === fields.tags) tags.push(textEntry(reader, endOfMessage(reader)));
    else if (field === fields.timestamp) timestamp = int64(reader).toString();
    else if (field === fields.sourceId) sourceId = reader.string();
    else if (field === fields.instanceId) instanceId = reader.string();
    else if (field === fields.timer) durationNs = duration(reader);
    else return false;
    return true;
  });
  if (durationNs === null) {
    throw new LogCacheError('bad-answer', 'log-cache sent another envelope than a timer');
  }
  return { timestamp, sourceId, instanceId, tags: Object.fromEntries(tags), durationNs };
}

function duration(reader: Reader): number {
  let [start, stop] = [0n, 0n];
  eachField(reader, endOfMessage(reader), (field) => {
    if (field === key(2, varint)) start = int64(reader);
    else if (field === key(3, varint)) stop = int64(reader);
    else return false;
    return true;
  });
  return Number(stop - start);
}
