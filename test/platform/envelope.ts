/*
 * loggregator envelopes as log-cache stores them. Timestamps are whole microseconds since the epoch: that is the
 * resolution of log-cache's syslog ingress, and it fits a JavaScript number exactly, which nanoseconds do not.
 */

export const envelopeTypes = ['LOG', 'COUNTER', 'GAUGE', 'TIMER', 'EVENT'] as const;
export type EnvelopeType = (typeof envelopeTypes)[number];

export type Tags = Readonly<Record<string, string>>;

export interface GaugeBody {
  readonly type: 'GAUGE';
  /** The syslog ingress makes one envelope per metric; injected envelopes may hold several. */
  readonly metrics: Readonly<Record<string, { readonly unit: string; readonly value: number }>>;
}

export interface CounterBody {
  readonly type: 'COUNTER';
  readonly name: string;
  readonly total: number;
}

export interface TimerBody {
  readonly type: 'TIMER';
  readonly name: string;
  /** Microseconds since the epoch. */
  readonly startUs: number;
  readonly stopUs: number;
}

export interface LogBody {
  readonly type: 'LOG';
  readonly payload: string;
}

export interface EventBody {
  readonly type: 'EVENT';
  readonly title: string;
  readonly body: string;
}

export type EnvelopeBody = GaugeBody | CounterBody | TimerBody | LogBody | EventBody;

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
  // All envelopes of a container share one tags object, and its JSON is most of the answer.
  const tagsJson = new Map<Tags, string>();
  const parts = envelopes.map((envelope) => {
    let tags = tagsJson.get(envelope.tags);
    if (tags === undefined) {
      tags = sortedObjectJson(envelope.tags);
      tagsJson.set(envelope.tags, tags);
    }
    return (
      `{"timestamp":"${nanoseconds(envelope.timestampUs)}","source_id":${JSON.stringify(envelope.sourceId)}` +
      `,"instance_id":${JSON.stringify(envelope.instanceId)},"deprecated_tags":{},"tags":${tags},${bodyJson(envelope.body)}}`
    );
  });
  return `{"envelopes":{"batch":[${parts.join(',')}]}}\n`;
}

/** Microseconds as decimal nanoseconds. */
export function nanoseconds(us: number): string {
  return us === 0 ? '0' : `${us}000`;
}

function bodyJson(body: EnvelopeBody): string {
  switch (body.type) {
    case 'GAUGE': {
      const metrics = Object.entries(body.metrics).map(
        ([name, { unit, value }]) =>
          `${JSON.stringify(name)}:{"unit":${JSON.stringify(unit)},"value":${doubleJson(value)}}`,
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

function doubleJson(value: number): string {
  return Number.isFinite(value) ? String(value) : `"${value}"`;
}

function sortedObjectJson(tags: Tags): string {
  return JSON.stringify(Object.fromEntries(Object.entries(tags).sort(([a], [b]) => (a < b ? -1 : 1))));
}
