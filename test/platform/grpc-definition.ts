import type { MethodDefinition } from '@grpc/grpc-js';
import { fromJSON } from '@grpc/proto-loader';
import protobuf from 'protobufjs';

/*
 * The part of log-cache's gRPC API that is used here. It is compiled with everything else, so that no separate file can be
 * missing at run time. Field numbers and names are the contract.
 */

const loggregator = `
syntax = "proto3";
package loggregator.v2;

message EnvelopeBatch { repeated Envelope batch = 1; }
message Envelope {
  int64 timestamp = 1;
  string source_id = 2;
  string instance_id = 8;
  map<string, Value> deprecated_tags = 3;
  map<string, string> tags = 9;
  oneof message {
    Log log = 4;
    Counter counter = 5;
    Gauge gauge = 6;
    Timer timer = 7;
    Event event = 10;
  }
}
message Value { oneof data { string text = 1; int64 integer = 2; double decimal = 3; } }
message Log {
  enum Type { OUT = 0; ERR = 1; }
  bytes payload = 1;
  Type type = 2;
}
message Counter { string name = 1; uint64 delta = 2; uint64 total = 3; }
message Gauge { map<string, GaugeValue> metrics = 1; }
message GaugeValue { string unit = 1; double value = 2; }
message Timer { string name = 1; int64 start = 2; int64 stop = 3; }
message Event { string title = 1; string body = 2; }
`;

const logCache = `
syntax = "proto3";
package logcache.v1;

service Egress {
  rpc Read(ReadRequest) returns (ReadResponse);
  rpc Meta(MetaRequest) returns (MetaResponse);
}
enum EnvelopeType { ANY = 0; LOG = 1; COUNTER = 2; GAUGE = 3; TIMER = 4; EVENT = 5; }
message ReadRequest {
  string source_id = 1;
  int64 start_time = 2;
  int64 end_time = 3;
  int64 limit = 4;
  repeated EnvelopeType envelope_types = 5;
  bool descending = 6;
  string name_filter = 7;
}
message ReadResponse { loggregator.v2.EnvelopeBatch envelopes = 1; }
message MetaRequest { bool local_only = 1; }
message MetaResponse { map<string, MetaInfo> meta = 1; }
message MetaInfo {
  int64 count = 1;
  int64 expired = 2;
  int64 oldest_timestamp = 3;
  int64 newest_timestamp = 4;
}

service PromQLQuerier {
  rpc InstantQuery(PromQL.InstantQueryRequest) returns (PromQL.InstantQueryResult);
  rpc RangeQuery(PromQL.RangeQueryRequest) returns (PromQL.RangeQueryResult);
}
message PromQL {
  message InstantQueryRequest { string query = 1; string time = 2; }
  message InstantQueryResult { oneof Result { Scalar scalar = 1; Vector vector = 2; Matrix matrix = 3; } }
  message RangeQueryRequest { string query = 1; string start = 2; string end = 3; string step = 4; }
  message RangeQueryResult { oneof Result { Matrix matrix = 1; } }
  message Scalar { string time = 1; double value = 2; }
  message Point { string time = 1; double value = 2; }
  message Vector { repeated Sample samples = 1; }
  message Sample { map<string, string> metric = 1; Point point = 2; }
  message Matrix { repeated Series series = 1; }
  message Series { map<string, string> metric = 1; repeated Point points = 2; }
}
`;

const root = new protobuf.Root();
for (const text of [loggregator, logCache]) protobuf.parse(text, root, { keepCase: true });
const definition = fromJSON(root.toJSON(), {
  keepCase: true,
  longs: String,
  enums: String,
  defaults: true,
  oneofs: true,
});

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

export interface RangeQueryRequestMessage {
  readonly query: string;
  readonly start: string;
  readonly end: string;
  readonly step: string;
}

export interface MatrixMessage {
  readonly matrix: {
    readonly series: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly points: readonly PointMessage[];
    }[];
  };
}

export interface MetaResponseMessage {
  readonly meta: Readonly<
    Record<
      string,
      {
        readonly count: string;
        readonly expired: string;
        readonly oldest_timestamp: string;
        readonly newest_timestamp: string;
      }
    >
  >;
}

interface PointMessage {
  readonly time: string;
  readonly value: number;
}

interface SampleMessage {
  readonly metric: Readonly<Record<string, string>>;
  readonly point: PointMessage | null;
}

/** `/logcache.v1.Egress`, for a client and for a server alike. */
export const egressService = definition['logcache.v1.Egress'] as unknown as {
  readonly Read: MethodDefinition<ReadRequestMessage, ReadResponseMessage>;
  readonly Meta: MethodDefinition<{ readonly local_only: boolean }, MetaResponseMessage>;
};

/** `/logcache.v1.PromQLQuerier`, for a client and for a server alike. */
export const promqlService = definition['logcache.v1.PromQLQuerier'] as unknown as {
  readonly InstantQuery: MethodDefinition<InstantQueryRequestMessage, InstantQueryResultMessage>;
  readonly RangeQuery: MethodDefinition<RangeQueryRequestMessage, MatrixMessage>;
};
