import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type Clock, systemClock } from '../util/clock.js';
import { createGrpcClient, type GrpcClientOptions } from './grpc-client.js';
import { gaugeEnvelopes, timerEnvelopes } from './grpc-envelopes.js';
import {
  envelopeTypes,
  instantQueryPath,
  instantQueryRequest,
  readPath,
  readRequest,
  vectorSamples,
} from './grpc-messages.js';
import { httpTimer, type LogCache } from './log-cache.js';
import { nameFilter } from './name-filter.js';

export interface GrpcLogCacheOptions extends Pick<GrpcClientOptions, 'address' | 'ca' | 'key' | 'cert'> {
  readonly readTimeoutMs: number;
  readonly queryTimeoutMs: number;
  readonly maxMessageBytes?: number;
  readonly clock?: Clock;
}

/** Names in log-cache's certificate, which lacks the DNS name that BOSH gives to log-cache. */
const certificateNames = ['log-cache', 'log_cache', 'logcache'];

const defaultMaxMessageBytes = 50 * 1024 * 1024;

/** log-cache inside the platform's network, as components on BOSH VMs reach it: mutual TLS, no token. */
export function createGrpcLogCache(options: GrpcLogCacheOptions): LogCache {
  const { readTimeoutMs, queryTimeoutMs } = options;
  const dialledHost = options.address.replace(/:\d+$/, '');
  const client = createGrpcClient({
    maxMessageBytes: defaultMaxMessageBytes,
    clock: systemClock,
    ...options,
    // An IP address is not allowed here. Which names are accepted is decided below.
    serverName: /^[\d.]+$|[[:]/.test(dialledHost) ? 'log-cache' : dialledHost,
    checkIdentity: (certificate) => checkIdentity(dialledHost, certificate),
  });

  return {
    read({ sourceId, startNs, endNs, limit, names }, take) {
      const filter = { type: envelopeTypes.gauge, descending: true, nameFilter: nameFilter(names) };
      const request = readRequest({ sourceId, startNs, endNs, limit, ...filter });
      return client.call(readPath, request, readTimeoutMs, (message) =>
        take({ envelopes: gaugeEnvelopes(message), bytes: message.length }),
      );
    },

    readTimers({ sourceId, startNs, endNs, limit }, take) {
      const filter = { type: envelopeTypes.timer, descending: true, nameFilter: nameFilter([httpTimer]) };
      const request = readRequest({ sourceId, startNs, endNs, limit, ...filter });
      return client.call(readPath, request, readTimeoutMs, (message) =>
        take({ envelopes: timerEnvelopes(message), bytes: message.length }),
      );
    },

    oldest({ sourceId, startNs, endNs }, take) {
      const first = { limit: 1, type: envelopeTypes.any, descending: false, nameFilter: '' };
      const request = readRequest({ sourceId, startNs, endNs, ...first });
      return client.call(readPath, request, readTimeoutMs, (message) =>
        take({ envelopes: gaugeEnvelopes(message), bytes: message.length }),
      );
    },

    instantQuery({ query, timeSecs }, take) {
      const request = instantQueryRequest(query, timeSecs);
      return client.call(instantQueryPath, request, queryTimeoutMs, (message) =>
        take({ samples: vectorSamples(message), bytes: message.length }),
      );
    },
  };
}

/** The first complaint, about the host dialled, unless the certificate holds one of the accepted names. */
function checkIdentity(dialledHost: string, certificate: PeerCertificate): Error | undefined {
  const complaints = [dialledHost, ...certificateNames].map((name) => checkServerIdentity(name, certificate));
  return complaints.includes(undefined) ? undefined : complaints[0];
}
