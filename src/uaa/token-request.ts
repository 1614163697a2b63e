import {
  allowInsecureRequests,
  Configuration,
  customFetch,
  genericGrantRequest,
  type ClientAuth,
} from 'openid-client';
import type { UaaConfig } from '../config/config.js';
import { tokenError } from './rejection.js';
import { TokenError } from './token-error.js';
import { createUaaFetch, type UaaFetchOptions } from './uaa-fetch.js';

export interface Token {
  /** Value of the Authorization header. */
  readonly authorization: string;
  /** Seconds, as UAA says, counted from the request: at least 1. */
  readonly lifetimeSecs: number;
}

/** Asks UAA for a token once; rejects with a TokenError only. */
export type TokenRequest = () => Promise<Token>;

export type TokenRequestOptions = Omit<UaaFetchOptions, 'skipSslValidation'>;

/** Requests tokens for one client with the grant that is configured for it. */
export function createTokenRequest(config: UaaConfig, options: TokenRequestOptions): TokenRequest {
  const endpoint = tokenEndpoint(config.url);
  // No discovery: UAA's issuer is `<url>/oauth/token`, which strict discovery rejects.
  const server = { issuer: endpoint.origin, token_endpoint: endpoint.href };
  const client = new Configuration(server, config.clientId, undefined, basicCredentials(config));
  client.timeout = 0; // the fetch has a deadline of its own
  client[customFetch] = createUaaFetch({ ...options, skipSslValidation: config.skipSslValidation });
  if (endpoint.protocol === 'http:') allowInsecureRequests(client);

  return async () => {
    try {
      const { type, ...parameters } = config.grant;
      return usableToken(await genericGrantRequest(client, type, parameters));
    } catch (error) {
      throw tokenError(error, config, endpoint, options.clock.now());
    }

    function usableToken(response: Awaited<ReturnType<typeof genericGrantRequest>>): Token {
      const bad = (what: string) =>
        new TokenError(
          'bad-answer',
          `UAA client "${config.clientId}" got an unusable token from ${endpoint.origin}${endpoint.pathname}: ${what}; check metricCollector.uaa.url`,
        );
      // What does not fit into a header would fail every request to log-cache, with a less helpful error.
      if (!/^[\x21-\x7e]+$/.test(response.access_token))
        throw bad('access_token is empty or no header value');
      if (response.token_type !== 'bearer') throw bad('token_type is not "bearer"');
      if (response.expires_in === undefined) throw bad('expires_in is missing');
      return {
        authorization: `bearer ${response.access_token}`,
        lifetimeSecs: Math.max(1, response.expires_in),
      };
    }
  };
}

/** UAA's address may be given with or without the path of the token endpoint. */
function tokenEndpoint(url: string): URL {
  const endpoint = new URL(url);
  const path = endpoint.pathname.replace(/\/+$/, '');
  endpoint.pathname = path.endsWith('/oauth/token') ? path : `${path}/oauth/token`;
  return endpoint;
}

/**
 * Basic credentials, form-encoded: UAA decodes them, so a secret with `%` or `+` fails otherwise. openid-client's own
 * authentication rejects the empty secret of the `cf` client. It also encodes `-`, `.` and `_`, with which a UAA that does
 * not decode knows no client of such a name.
 */
function basicCredentials({ clientId, clientSecret }: UaaConfig): ClientAuth {
  const value = `Basic ${Buffer.from(`${formEncoded(clientId)}:${formEncoded(clientSecret)}`).toString('base64')}`;
  return (_server, _client, _body, headers) => {
    headers.set('authorization', value);
    // With `enable_uri_encoding_compatibility_mode` UAA decodes the credentials of those only who say this.
    headers.set('x-cf-encoded-credentials', 'true');
  };
}

function formEncoded(text: string): string {
  return new URLSearchParams({ text }).toString().slice('text='.length);
}
