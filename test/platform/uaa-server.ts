import type { Books } from './books.js';
import { hasFault, type Answer, type Exchange } from './exchange.js';
import type { FaultSwitch } from './faults.js';
import type { TokenAuthority } from './token-authority.js';
import type { UaaAccounts, UaaClient } from './uaa-accounts.js';

export interface UaaDependencies {
  readonly accounts: UaaAccounts;
  readonly authority: TokenAuthority;
  readonly faults: FaultSwitch;
  readonly books: Pick<Books, 'served'>;
  readonly tokenLifetimeSecs: number;
  /** Base URL, for the answers that name endpoints. */
  readonly url: () => string;
}

interface Credentials {
  readonly id: string;
  readonly secret: string;
}

/** UAA as far as a client of log-cache meets it: tokens, their keys, and discovery with its odd issuer. */
export function uaaHandler(uaa: UaaDependencies): (exchange: Exchange) => Promise<void> {
  return async (exchange) => {
    const faults = uaa.faults.meet('uaa', 'token');
    // The body is read first: whoever leaves it unread breaks the connection for the next request.
    const body = exchange.method === 'POST' ? await exchange.body() : '';
    if (!(await exchange.suffer(faults))) {
      exchange.answer(hasFault(faults, 'unauthorized') ? badClient() : route(uaa, exchange, body));
    }
    if (exchange.url.pathname === '/oauth/token') uaa.books.served('token', exchange);
  };
}

function route(uaa: UaaDependencies, exchange: Exchange, body: string): Answer {
  const { pathname } = exchange.url;
  if (pathname === '/oauth/token') {
    if (exchange.method !== 'POST') {
      return refusal(405, 'method_not_allowed', `Request method '${exchange.method}' not supported`);
    }
    return tokenAnswer(uaa, exchange.header('authorization'), new URLSearchParams(body));
  }
  if (pathname === '/token_keys') return json(200, { keys: [uaa.authority.publicJwk()] });
  if (pathname.endsWith('/.well-known/openid-configuration')) {
    const url = uaa.url();
    return json(200, {
      issuer: `${url}/oauth/token`,
      token_endpoint: `${url}/oauth/token`,
      authorization_endpoint: `${url}/oauth/authorize`,
      jwks_uri: `${url}/token_keys`,
    });
  }
  return { status: 404 };
}

function tokenAnswer(uaa: UaaDependencies, header: string | undefined, form: URLSearchParams): Answer {
  const credentials = credentialsOf(header, form);
  const client = credentials && uaa.accounts.client(credentials.id, credentials.secret);
  if (!client) return badClient();
  const grant = form.get('grant_type');
  if (!grant) return refusal(400, 'invalid_request', 'Missing grant type');
  if (grant !== 'client_credentials' && grant !== 'password') {
    return refusal(400, 'unsupported_grant_type', `Unsupported grant type: ${grant}`);
  }
  if (!client.grants.includes(grant)) {
    return refusal(401, 'invalid_client', `Unauthorized grant type: ${grant}`);
  }
  if (grant === 'client_credentials') {
    return grantToken(uaa, client, credentials.id, credentials.id, grant, client.authorities ?? [], form);
  }
  const name = form.get('username') ?? '';
  const user = uaa.accounts.user(name, form.get('password') ?? '');
  if (user === 'locked') {
    return refusal(
      401,
      'unauthorized',
      'Your account has been locked because of too many failed attempts to login.',
    );
  }
  if (user === 'bad-credentials') return badClient();
  return grantToken(uaa, client, credentials.id, name, grant, user.scopes, form);
}

function grantToken(
  uaa: UaaDependencies,
  client: UaaClient,
  clientId: string,
  subject: string,
  grant: string,
  allowed: readonly string[],
  form: URLSearchParams,
): Answer {
  const requested = form.get('scope')?.split(' ').filter(Boolean) ?? [];
  const scope = requested.length === 0 ? allowed : requested.filter((name) => allowed.includes(name));
  if (requested.length > 0 && scope.length === 0) {
    return refusal(400, 'invalid_scope', `Invalid scope: ${requested.join(' ')}`);
  }
  const lifetimeSecs = client.tokenLifetimeSecs ?? uaa.tokenLifetimeSecs;
  const { token, claims } = uaa.authority.issue(subject, clientId, grant, scope, lifetimeSecs);
  return json(200, {
    access_token: token,
    token_type: 'bearer',
    ...(grant === 'password' ? { refresh_token: `${claims.jti}-r` } : {}),
    // Whole seconds that are left when the answer is written: always one less than the lifetime.
    expires_in: Math.max(0, lifetimeSecs - 1),
    scope: scope.join(' '),
    jti: claims.jti,
  });
}

/** Basic credentials are form-decoded; the form's own count only where there is no Authorization header. */
function credentialsOf(header: string | undefined, form: URLSearchParams): Credentials | undefined {
  if (header === undefined) {
    const id = form.get('client_id');
    return id === null ? undefined : { id, secret: form.get('client_secret') ?? '' };
  }
  const encoded = /^basic +(.+)$/i.exec(header)?.[1];
  if (encoded === undefined) return undefined;
  const text = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 0) return undefined;
  try {
    return { id: formDecode(text.slice(0, colon)), secret: formDecode(text.slice(colon + 1)) };
  } catch {
    return undefined; // a stray % is a wrong secret to UAA
  }
}

function formDecode(text: string): string {
  return decodeURIComponent(text.replaceAll('+', ' '));
}

/** UAA gives the same answer for a wrong client, a wrong secret, a wrong user and a wrong password. */
function badClient(): Answer {
  const answer = refusal(401, 'invalid_client', 'Bad credentials');
  const challenge = 'Basic realm="UAA/client", error="unauthorized", error_description="Bad credentials"';
  return { ...answer, headers: { ...answer.headers, 'www-authenticate': challenge } };
}

function refusal(status: number, error: string, description: string): Answer {
  return json(status, { error, error_description: description });
}

function json(status: number, body: object): Answer {
  return {
    status,
    body: JSON.stringify(body),
    headers: {
      'content-type': 'application/json;charset=UTF-8',
      'cache-control': 'no-store',
      pragma: 'no-cache',
    },
  };
}
