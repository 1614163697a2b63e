import type {
  EnvelopeMessage,
  InstantQueryResultMessage,
  MatrixMessage,
  MetaResponseMessage,
} from './grpc-definition.js';
import { nanoseconds, type Envelope } from './envelope.js';
import type { PromqlResult } from './promql/evaluate.js';
import type { SourceMeta } from './source-meta.js';

/* What log-cache knows, as messages of its gRPC API. */

export function envelopeMessage({
  timestampUs,
  sourceId,
  instanceId,
  tags,
  body,
}: Envelope): EnvelopeMessage {
  return {
    timestamp: nanoseconds(timestampUs),
    source_id: sourceId,
    instance_id: instanceId,
    tags,
    ...bodyMessage(body),
  };
}

function bodyMessage(body: Envelope['body']): object {
  switch (body.type) {
    case 'GAUGE':
      return { gauge: { metrics: body.metrics } };
    case 'COUNTER':
      return { counter: { name: body.name, delta: '0', total: String(body.total) } };
    case 'TIMER':
      return {
        timer: { name: body.name, start: nanoseconds(body.startUs), stop: nanoseconds(body.stopUs) },
      };
    case 'LOG':
      return { log: { payload: Buffer.from(body.payload), type: 'OUT' } };
    case 'EVENT':
      return { event: { title: body.title, body: body.body } };
  }
}

export function resultMessage(
  result: PromqlResult,
  timeMs: number,
): InstantQueryResultMessage & MatrixMessage {
  return resultFields(result, timeMs) as InstantQueryResultMessage & MatrixMessage;
}

function resultFields(result: PromqlResult, timeMs: number): object {
  switch (result.type) {
    case 'scalar':
      return { scalar: point(timeMs, result.value) };
    case 'vector': {
      const samples = result.samples.map(({ labels, value }) => ({
        metric: labels,
        point: point(timeMs, value),
      }));
      return { vector: { samples } };
    }
    case 'matrix': {
      const series = result.series.map(({ labels, points }) => ({
        metric: labels,
        points: points.map(({ timeUs, value }) => point(timeUs / 1000, value)),
      }));
      return { matrix: { series } };
    }
  }
}

function point(ms: number, value: number): { time: string; value: number } {
  return { time: (ms / 1000).toFixed(3), value };
}

export function metaMessage(metas: ReadonlyMap<string, SourceMeta>): MetaResponseMessage['meta'] {
  const messages = [...metas].map(([id, { count, expired, oldestUs, newestUs }]) => [
    id,
    {
      count: String(count),
      expired: String(expired),
      oldest_timestamp: nanoseconds(oldestUs),
      newest_timestamp: nanoseconds(newestUs),
    },
  ]);
  return Object.fromEntries(messages) as MetaResponseMessage['meta'];
}
