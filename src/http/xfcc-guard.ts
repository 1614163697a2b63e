import type { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { Clock } from '../util/clock.js';
import type { Logger } from '../observability/logger.js';
import type { Metrics } from '../observability/metrics.js';
import { RepeatedEvents } from '../observability/repeated-events.js';
import { checkXfcc, isValidAt, parseIssuers, type XfccRules } from './xfcc.js';

/** Callers are the instances of a few components, each with a new certificate a day. */
const maxRemembered = 100;

export interface XfccGuardOptions {
  readonly rules: Omit<XfccRules, 'issuers'>;
  /** PEM of the CAs as it is now; null: issuer and validity are not checked. */
  readonly issuersPem: (() => string) | null;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<Metrics, 'logLinesSuppressed'>;
}

/** Refuses every request of the instance, known path or not, whose client certificate is not as the rules say. */
export function requireXfcc(app: FastifyInstance, options: XfccGuardOptions): void {
  const isAccepted = createXfccCheck(options);
  const repeated = new RepeatedEvents(options);
  app.addHook('onRequest', (request, reply, done) => {
    const { accepted, refusal, issuer } = isAccepted(headerValues(request.raw, 'x-forwarded-client-cert'));
    if (accepted) return done();
    options.logger.debug('xfcc-refused', { refusal });
    if (issuer !== undefined) repeated.error('xfcc-issuer-unknown', new Error(issuerUnknown), { issuer });
    void reply.code(401).type('text/plain; charset=utf-8').send('Unauthorized\n');
  });
}

const issuerUnknown =
  "a caller's certificate names the right organization, but none of the certificates in cf_server.xfcc.ca_file issued it: gorouter hands on the leaf only, so the file must hold the authority that issues it, such as the instance identity's intermediate, and not only its root";

/** Remembers headers that were accepted: parsing a certificate and checking a signature take longer than the answer. */
export function createXfccCheck({
  rules,
  issuersPem,
  clock,
  logger,
}: Pick<XfccGuardOptions, 'rules' | 'issuersPem' | 'logger'> & { readonly clock: Pick<Clock, 'now'> }) {
  const remembered = new Map<string, { validFromMs: number; validUntilMs: number }>();
  let issuers: readonly X509Certificate[] | null = null;
  let knownPem: string | null = null;

  const renewIssuers = () => {
    const pem = issuersPem?.() ?? null;
    if (pem === null || pem === knownPem) return;
    knownPem = pem;
    remembered.clear();
    try {
      issuers = parseIssuers(pem);
    } catch (error) {
      issuers = [];
      logger.error('xfcc-ca-unreadable', error, { consequence: 'every request is refused' });
    }
  };

  return (values: readonly string[]): { accepted: boolean; refusal?: string; issuer?: string } => {
    renewIssuers();
    const nowMs = clock.now();
    const known = values.length === 1 ? remembered.get(values[0] ?? '') : undefined;
    if (known && (!issuers || isValidAt(known, nowMs))) return { accepted: true };

    const verdict = checkXfcc(values, { ...rules, issuers }, nowMs);
    if (!verdict.accepted) return verdict;
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= maxRemembered) remembered.delete(oldest);
    remembered.set(values[0] ?? '', verdict);
    return { accepted: true };
  };
}

/** Each occurrence by itself: node joins them with commas in `headers`. */
function headerValues(request: IncomingMessage, name: string): string[] {
  const { rawHeaders } = request;
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}
