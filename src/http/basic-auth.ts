import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyInstance } from 'fastify';
import type { BasicAuthConfig } from '../config/config.js';
import { sendError } from './error-responses.js';
import type { BcryptJob, BcryptPool } from './bcrypt-pool.js';

/** Spellings of the right credentials: bcrypt compares only 72 bytes of a password. */
const maxRemembered = 16;

/** Characters of an Authorization header. */
const maxHeaderLength = 2048;

type BasicAuthVerdict = 'granted' | 'denied' | 'busy';

export interface BasicAuth {
  /** Whether credentials are required. */
  readonly configured: boolean;
  check(authorization: string | undefined): Promise<BasicAuthVerdict>;
}

/**
 * Checks basic credentials, plain or hashed. Where only one half is configured the other must be empty, as in Go. Hashed
 * ones are verified in another thread; the right ones are remembered as a keyed digest.
 */
export function createBasicAuth(
  { username, password }: BasicAuthConfig,
  bcrypt: Pick<BcryptPool, 'compare'>,
): BasicAuth {
  const configured = username !== null || password !== null;
  const key = randomBytes(32);
  const digest = (text: string) => createHmac('sha256', key).update(text).digest();
  const remembered = new Set<string>();

  async function verify(given: Credentials): Promise<BasicAuthVerdict> {
    const halves = [
      { text: given.username, expected: username ?? { plain: '' } },
      { text: given.password, expected: password ?? { plain: '' } },
    ];
    const hashed: BcryptJob = halves.flatMap(({ text, expected }) =>
      'bcrypt' in expected ? [{ text, hash: expected.bcrypt }] : [],
    );
    const plainRight = halves
      .map(
        ({ text, expected }) => 'bcrypt' in expected || timingSafeEqual(digest(text), digest(expected.plain)),
      )
      .every(Boolean);
    if (hashed.length === 0) return plainRight ? 'granted' : 'denied';
    const hashedRight = await bcrypt.compare(hashed);
    if (hashedRight === 'busy') return 'busy';
    return plainRight && hashedRight ? 'granted' : 'denied';
  }

  return {
    configured,
    async check(authorization) {
      if (!configured) return 'granted';
      const given = parseBasic(authorization);
      if (!given) return 'denied';
      const id = digest(JSON.stringify([given.username, given.password])).toString('base64');
      if (remembered.has(id)) return 'granted';
      const verdict = await verify(given);
      if (verdict === 'granted' && remembered.size < maxRemembered) remembered.add(id);
      return verdict;
    },
  };
}

/** Rejects every request of the instance without the right credentials. */
export function requireBasicAuth(app: FastifyInstance, auth: BasicAuth): void {
  app.addHook('onRequest', async (request, reply) => {
    const verdict = await auth.check(request.headers.authorization);
    // A handler that ends when its client leaves would never be told.
    if (reply.raw.destroyed) return reply.hijack();
    if (verdict === 'granted') return;
    if (verdict === 'busy') {
      return sendError(reply.header('retry-after', '1'), 503, 'Too many credentials are being checked');
    }
    const challenge = 'Basic realm="eventgenerator", charset="UTF-8"';
    return sendError(reply.header('www-authenticate', challenge), 401, 'Basic authentication is required');
  });
}

interface Credentials {
  readonly username: string;
  readonly password: string;
}

function parseBasic(authorization: string | undefined): Credentials | null {
  if (authorization === undefined || authorization.length > maxHeaderLength) return null;
  const [, encoded] = /^basic +([A-Za-z0-9+/]+={0,2}) *$/i.exec(authorization) ?? [];
  if (encoded === undefined) return null;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? null : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}
