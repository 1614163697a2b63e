import { X509Certificate } from 'node:crypto';
import type { ServerTls } from '../../src/http/server-tls.js';
import { Servers, type ServersConfig, type ServersOptions } from '../../src/http/servers.js';
import { createCertificateAuthority, type IssuedCertificate } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { serversDeps } from './support.js';

export const historyPath = '/v1/apps/app-1/aggregated_metric_histories/cpu';
/** Says that key, certificate and CA are configured; the material comes from a ServerCertificate. */
export const tls = { key: { file: 'k' }, cert: { file: 'c' }, ca: { file: 'a' } };
export const withoutCa = { ...tls, ca: null };

/** Of a CA, of a server and of a client of it. */
export async function issueCertificates() {
  const authority = await createCertificateAuthority();
  const server = await authority.issue({ commonName: 'eventgenerator', ipAddresses: ['127.0.0.1'] });
  const client = await authority.issue({
    commonName: 'guid',
    organizationalUnits: ['organization:o', 'space:s', 'app:a'],
  });
  return { authority, server, client };
}

const started: Servers[] = [];

export function closeLater(servers: Servers): Servers {
  started.push(servers);
  return servers;
}

/** Servers on ports that the system chose, until `closeServers`. */
export async function start(config: ServersConfig, overrides: Partial<ServersOptions> = {}) {
  const servers = closeLater(new Servers(config, serversDeps(overrides)));
  await servers.listen('127.0.0.1');
  const port = (name: 'api' | 'cf' | 'health') => servers.addresses()[name]?.port ?? NaN;
  return { servers, port };
}

/** To be called after each test. */
export async function closeServers(): Promise<void> {
  await Promise.all(started.splice(0).map((servers) => servers.close()));
}

/** TLS material that a test can replace. */
export function replaceable<T>(first: T) {
  let current = first;
  const listeners = new Set<() => void>();
  return {
    listeners,
    renewable: {
      current: () => current,
      onChange: (listener: () => void) => {
        listeners.add(listener);
        return () => void listeners.delete(listener);
      },
    },
    replace(next: T) {
      current = next;
      for (const listener of listeners) listener();
    },
  };
}

export function serverTls(server: IssuedCertificate, clientCa: string | null): ServerTls {
  return {
    keyPair: replaceable(server).renewable,
    clientCa: clientCa === null ? null : fixedAuthorities([clientCa]),
  };
}

export function xfcc(certificate: IssuedCertificate) {
  return { 'x-forwarded-client-cert': new X509Certificate(certificate.cert).raw.toString('base64') };
}
