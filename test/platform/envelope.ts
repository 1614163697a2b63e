/*
 * loggregator envelopes as log-cache stores them. Timestamps are whole microseconds since the epoch: that is the
 * resolution of log-cache's syslog ingress, and it fits a JavaScript number exactly, which nanoseconds do not.
 */

export const envelopeTypes = ['LOG', 'COUNTER', 'GAUGE', 'TIMER', 'EVENT'] as const;
export type EnvelopeType = (typeof envelopeTypes)[number];

export type Tags = Readonly<Record<string, string>>;

interface GaugeBody {
  readonly type: 'GAUGE';
  /** The syslog ingress makes one envelope per metric; injected envelopes may hold several. */
  readonly metrics: Readonly<Record<string, { readonly unit: string; readonly value: number }>>;
}

interface CounterBody {
  readonly type: 'COUNTER';
  readonly name: string;
  readonly total: number;
}

interface TimerBody {
  readonly type: 'TIMER';
  readonly name: string;
  /** Microseconds since the epoch. */
  readonly startUs: number;
  readonly stopUs: number;
}

interface LogBody {
  readonly type: 'LOG';
  readonly payload: string;
}

interface EventBody {
  readonly type: 'EVENT';
  readonly title: string;
  readonly body: string;
}

type EnvelopeBody = GaugeBody | CounterBody | TimerBody | LogBody | EventBody;

export interface Envelope {
  readonly timestampUs: number;
  readonly sourceId: string;
  readonly instanceId: string;
  readonly tags: Tags;
  readonly body: EnvelopeBody;
}

export interface StoredEnvelope extends Envelope {
  /** The first that was stored with its timestamp. A page ends only at such an envelope, see readPage. */
  readonly firstOfTimestamp: boolean;
}

/** The answer of /api/v1/read: protojson with snake_case names, int64 as strings, NaN and infinities as strings. */
export function readAnswerJson(envelopes: readonly Envelope[]): string {
  // All envelopes of a container share one tags object, and what it tells is most of the answer.
  const identities = new Map<Tags, { sourceId: string; instanceId: string; json: string }>();
  let batch = '';
  for (const { timestampUs, sourceId, instanceId, tags, body } of envelopes) {
    let identity = identities.get(tags);
    if (identity?.sourceId !== sourceId || identity.instanceId !== instanceId) {
      identity = { sourceId, instanceId, json: identityJson(sourceId, instanceId, tags) };
      identities.set(tags, identity);
    }
    if (batch !== '') batch += ',';
    batch += `{"timestamp":"${nanoseconds(timestampUs)}",${identity.json},${bodyJson(body)}}`;
  }
  return `{"envelopes":{"batch":[${batch}]}}\n`;
}

function identityJson(sourceId: string, instanceId: string, tags: Tags): string {
  return (
    `"source_id":${JSON.stringify(sourceId)},"instance_id":${JSON.stringify(instanceId)}` +
    `,"deprecated_tags":{},"tags":${sortedObjectJson(tags)}`
  );
}

/** Microseconds as decimal nanoseconds. */
export function nanoseconds(us: number): string {
  return us === 0 ? '0' : `${us}000`;
}

function bodyJson(body: EnvelopeBody): string {
  switch (body.type) {
    case 'GAUGE': {
      const metrics = Object.entries(body.metrics).map(
        ([name, { unit, value }]) => `${quote(name)}:{"unit":${quote(unit)},"value":${doubleJson(value)}}`,
      );
      return `"gauge":{"metrics":{${metrics.sort().join(',')}}}`;
    }
    case 'COUNTER':
      return `"counter":{"name":${JSON.stringify(body.name)},"delta":"0","total":"${body.total}"}`;
    case 'TIMER':
      return (
        `"timer":{"name":${JSON.stringify(body.name)},"start":"${nanoseconds(body.startUs)}"` +
        `,"stop":"${nanoseconds(body.stopUs)}"}`
      );
    case 'LOG':
      return `"log":{"payload":"${Buffer.from(body.payload).toString('base64')}","type":"OUT"}`;
    case 'EVENT':
      return `"event":{"title":${JSON.stringify(body.title)},"body":${JSON.stringify(body.body)}}`;
  }
}

const plain = /^[\w %/.-]*$/;

/** A JSON string; names and units hardly ever need an escape. */
function quote(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}

function doubleJson(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}

function sortedObjectJson(tags: Tags): string {
  const names = Object.keys(tags);
  if (names.every((name, i) => i === 0 || (names[i - 1] ?? '') < name)) return JSON.stringify(tags);
  return JSON.stringify(Object.fromEntries(names.sort().map((name) => [name, tags[name]])));
}
