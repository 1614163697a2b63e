import type { MethodDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';

/*
 * The part of log-cache's gRPC API (packages logcache.v1 and loggregator.v2) that is used here, as protobuf.js's JSON
 * form of a .proto file: it is compiled with everything else, so that no separate file can be missing at run time.
 * Field numbers and names are the wire contract.
 */

const envelope = {
  EnvelopeBatch: { fields: { batch: { rule: 'repeated', type: 'Envelope', id: 1 } } },
  Envelope: {
    oneofs: { message: { oneof: ['log', 'counter', 'gauge', 'timer', 'event'] } },
    fields: {
      timestamp: { type: 'int64', id: 1 },
      source_id: { type: 'string', id: 2 },
      instance_id: { type: 'string', id: 8 },
      deprecated_tags: { keyType: 'string', type: 'Value', id: 3 },
      tags: { keyType: 'string', type: 'string', id: 9 },
      log: { type: 'Log', id: 4 },
      counter: { type: 'Counter', id: 5 },
      gauge: { type: 'Gauge', id: 6 },
      timer: { type: 'Timer', id: 7 },
      event: { type: 'Event', id: 10 },
    },
  },
  Value: {
    oneofs: { data: { oneof: ['text', 'integer', 'decimal'] } },
    fields: {
      text: { type: 'string', id: 1 },
      integer: { type: 'int64', id: 2 },
      decimal: { type: 'double', id: 3 },
    },
  },
  Log: {
    fields: { payload: { type: 'bytes', id: 1 }, type: { type: 'Type', id: 2 } },
    nested: { Type: { values: { OUT: 0, ERR: 1 } } },
  },
  Counter: {
    fields: {
      name: { type: 'string', id: 1 },
      delta: { type: 'uint64', id: 2 },
      total: { type: 'uint64', id: 3 },
    },
  },
  Gauge: { fields: { metrics: { keyType: 'string', type: 'GaugeValue', id: 1 } } },
  GaugeValue: { fields: { unit: { type: 'string', id: 1 }, value: { type: 'double', id: 2 } } },
  Timer: {
    fields: {
      name: { type: 'string', id: 1 },
      start: { type: 'int64', id: 2 },
      stop: { type: 'int64', id: 3 },
    },
  },
  Event: { fields: { title: { type: 'string', id: 1 }, body: { type: 'string', id: 2 } } },
};

const egress = {
  Egress: {
    methods: {
      Read: { requestType: 'ReadRequest', responseType: 'ReadResponse', comment: 'Envelopes of one source' },
    },
  },
  EnvelopeType: { values: { ANY: 0, LOG: 1, COUNTER: 2, GAUGE: 3, TIMER: 4, EVENT: 5 } },
  ReadRequest: {
    fields: {
      source_id: { type: 'string', id: 1 },
      start_time: { type: 'int64', id: 2 },
      end_time: { type: 'int64', id: 3 },
      limit: { type: 'int64', id: 4 },
      envelope_types: { rule: 'repeated', type: 'EnvelopeType', id: 5 },
      descending: { type: 'bool', id: 6 },
      name_filter: { type: 'string', id: 7 },
    },
  },
  ReadResponse: { fields: { envelopes: { type: 'loggregator.v2.EnvelopeBatch', id: 1 } } },
};

const promql = {
  PromQLQuerier: {
    methods: {
      InstantQuery: {
        requestType: 'PromQL.InstantQueryRequest',
        responseType: 'PromQL.InstantQueryResult',
        comment: 'A PromQL expression at one time',
      },
    },
  },
  PromQL: {
    fields: {},
    nested: {
      InstantQueryRequest: { fields: { query: { type: 'string', id: 1 }, time: { type: 'string', id: 2 } } },
      InstantQueryResult: {
        oneofs: { Result: { oneof: ['scalar', 'vector', 'matrix'] } },
        fields: {
          scalar: { type: 'Scalar', id: 1 },
          vector: { type: 'Vector', id: 2 },
          matrix: { type: 'Matrix', id: 3 },
        },
      },
      Scalar: { fields: { time: { type: 'string', id: 1 }, value: { type: 'double', id: 2 } } },
      Point: { fields: { time: { type: 'string', id: 1 }, value: { type: 'double', id: 2 } } },
      Vector: { fields: { samples: { rule: 'repeated', type: 'Sample', id: 1 } } },
      Sample: {
        fields: { metric: { keyType: 'string', type: 'string', id: 1 }, point: { type: 'Point', id: 2 } },
      },
      Matrix: { fields: { series: { rule: 'repeated', type: 'Series', id: 1 } } },
      Series: {
        fields: {
          metric: { keyType: 'string', type: 'string', id: 1 },
          points: { rule: 'repeated', type: 'Point', id: 2 },
        },
      },
    },
  },
};

const definition = fromJSON(
  {
    nested: {
      loggregator: { nested: { v2: { nested: envelope } } },
      logcache: { nested: { v1: { nested: { ...egress, ...promql } } } },
    },
  },
  { keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
);

export interface ReadRequestMessage {
  readonly source_id: string;
  readonly start_time: string;
  readonly end_time: string;
  readonly limit: string;
  readonly envelope_types: readonly string[];
  readonly descending: boolean;
  readonly name_filter: string;
}

export interface ReadResponseMessage {
  readonly envelopes: { readonly batch: readonly EnvelopeMessage[] } | null;
}

export interface EnvelopeMessage {
  readonly timestamp: string;
  readonly source_id: string;
  readonly instance_id: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly gauge?: {
    readonly metrics: Readonly<Record<string, { readonly unit: string; readonly value: number }>>;
  };
  readonly timer?: { readonly name: string; readonly start: string; readonly stop: string } | null;
}

export interface InstantQueryRequestMessage {
  readonly query: string;
  readonly time: string;
}

export interface InstantQueryResultMessage {
  readonly vector?: { readonly samples: readonly SampleMessage[] };
}

interface SampleMessage {
  readonly metric: Readonly<Record<string, string>>;
  readonly point: { readonly time: string; readonly value: number } | null;
}

/** `/logcache.v1.Egress`, for a client and for a server alike. */
export const egressService = definition['logcache.v1.Egress'] as unknown as {
  readonly Read: MethodDefinition<ReadRequestMessage, ReadResponseMessage>;
};

/** `/logcache.v1.PromQLQuerier`, for a client and for a server alike. */
export const promqlService = definition['logcache.v1.PromQLQuerier'] as unknown as {
  readonly InstantQuery: MethodDefinition<InstantQueryRequestMessage, InstantQueryResultMessage>;
};
