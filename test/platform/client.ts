import { request, type RequestOptions } from 'node:https';
import type { Platform } from './platform.js';
import { standardAccounts } from './platform.js';

export interface ClientRequest {
  readonly ca: string;
  readonly method?: string;
  /** Instead of the URL's, and sent as it is. */
  readonly path?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Client certificate. */
  readonly cert?: string;
  readonly key?: string;
  readonly signal?: AbortSignal;
}

export interface ClientAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** One HTTPS request on a connection of its own; rejects when the connection or the answer breaks. */
export function ask(url: string, { body, ...options }: ClientRequest): Promise<ClientAnswer> {
  return new Promise((resolve, reject) => {
    const requestOptions: RequestOptions = { ...options, agent: false };
    const outgoing = request(url, requestOptions, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.once('error', reject);
      response.once('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }),
      );
    });
    outgoing.once('error', reject);
    outgoing.end(body);
  });
}

export function basic(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${encodeURIComponent(id)}:${encodeURIComponent(secret)}`).toString('base64')}`;
}

/** Asks UAA for a token with Basic credentials. */
export function askForToken(
  platform: Platform,
  form: Readonly<Record<string, string>>,
  authorization = basic(standardAccounts.clientId, standardAccounts.clientSecret),
): Promise<ClientAnswer> {
  return ask(`${platform.urls.uaa}/oauth/token`, {
    ca: platform.ca,
    method: 'POST',
    headers: { authorization, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams(form).toString(),
  });
}

/** The Authorization header of a fresh admin token. */
export async function adminAuthorization(platform: Platform): Promise<string> {
  const { body } = await askForToken(platform, { grant_type: 'client_credentials' });
  const { access_token } = JSON.parse(body) as { access_token: string };
  return `bearer ${access_token}`;
}
