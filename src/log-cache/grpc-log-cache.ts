import {
  Client,
  type ClientUnaryCall,
  credentials,
  Metadata,
  type MethodDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { egressService, type EnvelopeMessage, promqlService } from './grpc-definition.js';
import { grpcError, isOwnDeadline } from './grpc-error.js';
import { grpcTarget } from './grpc-names.js';
import {
  type GaugeEnvelope,
  httpTimer,
  type LogCache,
  LogCacheError,
  type TimerEnvelope,
} from './log-cache.js';
import { nameFilter } from './name-filter.js';

export interface GrpcLogCacheOptions {
  /** host:port */
  readonly address: string;
  /** PEM; the complete list of trusted roots. */
  readonly ca: readonly string[];
  readonly key: string;
  readonly cert: string;
  readonly readTimeoutMs: number;
  readonly queryTimeoutMs: number;
}

/** Names in log-cache's certificate, which lacks the DNS name that BOSH gives to log-cache. */
const certificateNames = ['log-cache', 'log_cache', 'logcache'];

/** After this many deadlines in a row without a response, the connection counts as dead, whatever TCP says. */
const timeoutsBeforeReconnect = 3;

const channelOptions = {
  'grpc.max_receive_message_length': 50 * 1024 * 1024,
  'grpc.initial_reconnect_backoff_ms': 250,
  'grpc.max_reconnect_backoff_ms': 10_000,
  'grpc.service_config_disable_resolution': 1,
  'grpc.enable_http_proxy': 0,
  // A connection that counts as dead must not come back from the pool that all channels share.
  'grpc.use_local_subchannel_pool': 1,
};

/** log-cache inside the platform's network, as components on BOSH VMs reach it: mutual TLS, no token. */
export function createGrpcLogCache(options: GrpcLogCacheOptions): LogCache {
  const dialledHost = options.address.replace(/:\d+$/, '');
  const channelCredentials = credentials.createSsl(
    Buffer.from(options.ca.join('\n')),
    Buffer.from(options.key),
    Buffer.from(options.cert),
    { checkServerIdentity: (_host, certificate) => checkIdentity(dialledHost, certificate) },
  );
  const connect = () =>
    new Client(grpcTarget(options.address), channelCredentials, {
      ...channelOptions,
      // Sent as SNI, where an IP address is not allowed. Which names are accepted is decided above.
      ...(/^[\d.]+$|[[:]/.test(dialledHost) ? { 'grpc.ssl_target_name_override': 'log-cache' } : {}),
    });
  let client = connect();
  let timeoutsInARow = 0;
  const inFlight = new Set<ClientUnaryCall>();

  const noteResult = (error: ServiceError | null, usedClient: Client) => {
    if (usedClient !== client) return;
    timeoutsInARow = error && isOwnDeadline(error) ? timeoutsInARow + 1 : 0;
    if (timeoutsInARow < timeoutsBeforeReconnect) return;
    client.close();
    client = connect();
    timeoutsInARow = 0;
  };

  const call = <Q, A, T>(
    method: MethodDefinition<Q, A>,
    request: Q,
    timeoutMs: number,
    take: (message: A, bytes: number) => T,
  ): Promise<T> =>
    new Promise((resolve, reject) => {
      const usedClient = client;
      const unaryCall = usedClient.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        (message) => ({ response: method.responseDeserialize(message), bytes: message.length }),
        request,
        new Metadata(),
        { deadline: Date.now() + timeoutMs },
        (error, value) => {
          inFlight.delete(unaryCall);
          noteResult(error, usedClient);
          // Rejects with what take throws.
          if (value) resolve(new Promise((taken) => taken(take(value.response, value.bytes))));
          else reject(grpcError(error));
        },
      );
      inFlight.add(unaryCall);
    });

  return {
    read({ sourceId, startNs, endNs, limit, names }, take) {
      const request = {
        source_id: sourceId,
        start_time: startNs.toString(),
        end_time: endNs.toString(),
        limit: String(limit),
        envelope_types: ['GAUGE'],
        descending: true,
        name_filter: nameFilter(names),
      };
      return call(egressService.Read, request, options.readTimeoutMs, ({ envelopes }, bytes) =>
        take({ envelopes: (envelopes?.batch ?? []).map(toGaugeEnvelope), bytes }),
      );
    },

    readTimers({ sourceId, startNs, endNs, limit }, take) {
      const request = {
        source_id: sourceId,
        start_time: startNs.toString(),
        end_time: endNs.toString(),
        limit: String(limit),
        envelope_types: ['TIMER'],
        descending: true,
        name_filter: nameFilter([httpTimer]),
      };
      return call(egressService.Read, request, options.readTimeoutMs, ({ envelopes }, bytes) =>
        take({ envelopes: (envelopes?.batch ?? []).map(toTimerEnvelope), bytes }),
      );
    },

    oldest({ sourceId, startNs, endNs }, take) {
      const request = {
        source_id: sourceId,
        start_time: startNs.toString(),
        end_time: endNs.toString(),
        limit: '1',
        envelope_types: [],
        descending: false,
        name_filter: '',
      };
      return call(egressService.Read, request, options.readTimeoutMs, ({ envelopes }, bytes) =>
        take({ timestamps: (envelopes?.batch ?? []).map(({ timestamp }) => timestamp), bytes }),
      );
    },

    instantQuery({ query, timeSecs }, take) {
      const request = { query, time: String(timeSecs) };
      return call(promqlService.InstantQuery, request, options.queryTimeoutMs, ({ vector }, bytes) => {
        if (!vector) throw new LogCacheError('bad-answer', 'log-cache did not answer with a vector');
        const samples = vector.samples.map(({ metric, point }) => ({
          labels: metric,
          value: point?.value ?? NaN,
        }));
        return take({ samples, bytes });
      });
    },

    close() {
      for (const unaryCall of inFlight) unaryCall.cancel();
      client.close();
    },
  };
}

function headOf(envelope: EnvelopeMessage): Omit<GaugeEnvelope, 'metrics'> {
  return {
    timestamp: envelope.timestamp,
    sourceId: envelope.source_id,
    instanceId: envelope.instance_id,
    tags: envelope.tags,
  };
}

function toTimerEnvelope(envelope: EnvelopeMessage): TimerEnvelope {
  const { timer } = envelope;
  if (!timer) throw new LogCacheError('bad-answer', 'log-cache sent another envelope than a timer');
  return { ...headOf(envelope), durationNs: Number(BigInt(timer.stop) - BigInt(timer.start)) };
}

function toGaugeEnvelope(envelope: EnvelopeMessage): GaugeEnvelope {
  return {
    ...headOf(envelope),
    metrics: Object.entries(envelope.gauge?.metrics ?? {}).map(([name, metric]) => ({ name, ...metric })),
  };
}

/** The first complaint, about the host dialled, unless the certificate holds one of the accepted names. */
function checkIdentity(dialledHost: string, certificate: PeerCertificate): Error | undefined {
  const complaints = [dialledHost, ...certificateNames].map((name) => checkServerIdentity(name, certificate));
  return complaints.includes(undefined) ? undefined : complaints[0];
}
