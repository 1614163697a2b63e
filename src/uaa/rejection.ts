import { ClientError, ResponseBodyError, WWWAuthenticateChallengeError } from 'openid-client';
import type { UaaConfig } from '../config/config.js';
import { errorText } from '../util/errors.js';
import { TokenError, type TokenErrorKind } from './token-error.js';

/** A longer Retry-After is cut, so that it is noticed in time that UAA is back. */
const maxRetryAfterMs = 60_000;
const maxDescriptionChars = 200;

/**
 * Translates what openid-client rejects with. Its errors hold bodies, and so perhaps tokens, in `cause`. Only the status,
 * the OAuth error code and a cleaned description are passed on.
 */
export function tokenError(error: unknown, config: UaaConfig, endpoint: URL, nowMs: number): TokenError {
  if (error instanceof TokenError) return error;
  const client = `UAA client "${config.clientId}" got no token from ${endpoint.origin}${endpoint.pathname}`;

  const cause = error instanceof ClientError ? error.cause : undefined;
  if (cause instanceof TokenError) {
    return new TokenError(
      cause.kind,
      `${client}: ${cause.message}; check metricCollector.uaa.url and that UAA runs`,
    );
  }

  const response = responseOf(error);
  if (!response || response.status === 200) {
    const reason =
      error instanceof ClientError ? `${error.message} (${error.code ?? 'no code'})` : errorText(error);
    return new TokenError(
      'bad-answer',
      `${client}: the answer is not UAA's: ${reason}; check metricCollector.uaa.url`,
    );
  }
  const kind = kindOfStatus(response.status);
  const said = oauthError(error, config);
  return new TokenError(
    kind,
    `${client}: HTTP status ${response.status}${said && ` (${said})`}; ${remedy(kind, response.status, config)}`,
    retryAfterMs(response.headers.get('retry-after'), nowMs),
  );
}

function responseOf(error: unknown): Response | null {
  if (error instanceof ResponseBodyError || error instanceof WWWAuthenticateChallengeError) {
    return error.response;
  }
  const cause = error instanceof ClientError ? error.cause : undefined;
  return cause instanceof Response ? cause : null;
}

/** UAA answers 401 to a wrong user password as to a wrong client secret, and 403 to an account that is not verified. */
function kindOfStatus(status: number): TokenErrorKind {
  if (status === 400 || status === 401 || status === 403) return 'credentials';
  // gorouter answers 404 while no UAA is registered.
  return status >= 500 || status === 404 || status === 408 || status === 429 ? 'unavailable' : 'bad-answer';
}

function remedy(kind: TokenErrorKind, status: number, config: UaaConfig): string {
  if (kind === 'bad-answer') return 'check metricCollector.uaa.url';
  if (kind === 'unavailable') {
    return status === 429
      ? 'UAA limits the rate of requests'
      : 'check metricCollector.uaa.url and that UAA runs';
  }
  return config.grant.type === 'password'
    ? 'check metricCollector.uaa.username and password, that the account is not locked, and that the client may use the grant "password"'
    : 'check metricCollector.uaa.client_id and client_secret, and that the client may use the grant "client_credentials"';
}

/** UAA's own words, e.g. `invalid_client: Bad credentials`; empty where it said nothing. */
function oauthError(error: unknown, config: UaaConfig): string {
  if (error instanceof ResponseBodyError) return clean([error.error, error.error_description], config);
  if (error instanceof WWWAuthenticateChallengeError) {
    const { error: code, error_description } = error.cause[0]?.parameters ?? {};
    return clean([code, error_description], config);
  }
  return '';
}

function clean(parts: readonly unknown[], config: UaaConfig): string {
  const text = parts.filter((part) => typeof part === 'string').join(': ');
  const secrets = [config.clientSecret, config.grant.type === 'password' ? config.grant.password : ''].filter(
    Boolean,
  );
  if (secrets.some((secret) => text.includes(secret))) return 'its words are left out: they hold a secret';
  return text
    .replace(/[^\x20-\x7e]/g, ' ')
    .replace(/[\w.~+/=-]{32,}/g, '…') // long enough for a token
    .slice(0, maxDescriptionChars);
}

/** Seconds or an HTTP date; null where it is neither, or in the past. */
function retryAfterMs(header: string | null, nowMs: number): number | null {
  if (header === null) return null;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs;
  return ms > 0 ? Math.min(ms, maxRetryAfterMs) : null;
}
