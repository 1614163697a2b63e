import { X509Certificate } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import type { FastifyInstance } from 'fastify';
import type { XfccConfig } from '../config/config.js';
import type { Clock } from '../util/clock.js';
import { RepeatedEvents, type LogContext } from '../observability/repeated-events.js';
import type { Renewable } from './server-tls.js';
import { checkXfcc, isValidAt, type XfccRules, type XfccVerdict } from './xfcc.js';

/** Callers are the instances of a few components, each with a new certificate a day. */
const maxRemembered = 100;

export interface XfccGuardOptions extends LogContext {
  readonly rules: Omit<XfccConfig, 'ca'>;
  /** PEM of the CA certificates; null: issuer and validity are not checked. */
  readonly issuers: Renewable<readonly string[]> | null;
}

/** Rejects every request of the instance, known path or not, whose client certificate is not as the rules say. */
export function requireXfcc(app: FastifyInstance, options: XfccGuardOptions): void {
  const { rules, issuers, clock, logger } = options;
  const repeated = new RepeatedEvents(options);
  const createCheck = () => {
    const certificates = issuers?.current().map((pem) => new X509Certificate(pem)) ?? null;
    return createXfccCheck({ ...rules, issuers: certificates }, clock);
  };
  let check = createCheck();
  const stop = issuers?.onChange(() => (check = createCheck()));
  app.addHook('onClose', (_app, done) => {
    stop?.();
    done();
  });
  app.addHook('onRequest', (request, reply, done) => {
    const verdict = check(headerValues(request.raw, 'x-forwarded-client-cert'));
    if (verdict.accepted) return done();
    const { rejection, issuer } = verdict;
    logger.debug('xfcc-refused', { refusal: rejection });
    if (issuer !== undefined) repeated.error('xfcc-issuer-unknown', new Error(issuerUnknown), { issuer });
    void reply.code(401).type('text/plain; charset=utf-8').send('Unauthorized\n');
  });
}

const issuerUnknown =
  "a caller's certificate names the right organization, but none of the certificates in cf_server.xfcc.ca_file issued it: gorouter hands on the leaf only, so the file must hold the CA certificate that issues it, such as the instance identity's intermediate, and not only its root";

/** Remembers accepted headers: to parse a certificate and check a signature takes longer than the response. */
export function createXfccCheck(rules: XfccRules, clock: Pick<Clock, 'now'>) {
  const remembered = new Map<string, Extract<XfccVerdict, { readonly accepted: true }>>();
  return (values: readonly string[]): XfccVerdict => {
    const nowMs = clock.now();
    const known = values.length === 1 ? remembered.get(values[0] ?? '') : undefined;
    if (known && (!rules.issuers || isValidAt(known, nowMs))) return known;

    const verdict = checkXfcc(values, rules, nowMs);
    if (!verdict.accepted) return verdict;
    const [oldest] = remembered.keys();
    if (oldest !== undefined && remembered.size >= maxRemembered) remembered.delete(oldest);
    remembered.set(values[0] ?? '', verdict);
    return verdict;
  };
}

/** Each occurrence by itself: `headers` of Node.js joins them with commas. */
function headerValues(request: IncomingMessage, name: string): string[] {
  const { rawHeaders } = request;
  return rawHeaders.filter((_, i) => i % 2 === 1 && rawHeaders[i - 1]?.toLowerCase() === name);
}
