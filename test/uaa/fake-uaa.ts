import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { createCertificateAuthority } from '../support/certificates.js';
import { sendJson, startHttpServer, startHttpsServer, type Handler } from '../tls/https-server.js';

interface TokenRequestSeen {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly form: URLSearchParams;
}

export type Answer = (response: ServerResponse, request: IncomingMessage) => void;

/** A UAA that numbers its tokens and answers as the test says. */
export interface FakeUaa {
  readonly url: string;
  readonly roots: readonly string[];
  readonly requests: TokenRequestSeen[];
  /** Answers the next requests with these, in their order; afterwards, and by default, with good tokens. */
  next(...answers: Answer[]): void;
  /** Answers every request with this until told otherwise; null for good tokens. */
  always(answer: Answer | null): void;
  /** `expires_in` of good tokens. */
  lifetimeSecs: number;
  reset(): void;
  close(): Promise<void>;
}

/** `isPlain`: without TLS. */
export async function startFakeUaa({ isPlain = false } = {}): Promise<FakeUaa> {
  const authority = await createCertificateAuthority('UAA CA');
  const { key, chain } = await authority.issue({ commonName: 'uaa', ipAddresses: ['127.0.0.1'] });
  let queue: Answer[] = [];
  let standing: Answer | null = null;
  let issued = 0;
  const handle: Handler = (request, response, body) => {
    uaa.requests.push({
      path: request.url ?? '',
      headers: request.headers,
      form: new URLSearchParams(body),
    });
    const answer = queue.shift() ?? standing;
    if (answer) return answer(response, request);
    issued++;
    sendJson(response, 200, {
      access_token: `token-${issued}`,
      token_type: 'bearer',
      expires_in: uaa.lifetimeSecs,
      scope: 'logs.admin',
      jti: 'x',
    });
  };
  const server = await (isPlain ? startHttpServer(handle) : startHttpsServer({ key, cert: chain }, handle));
  const uaa: FakeUaa = {
    url: server.url,
    roots: [authority.cert],
    requests: [],
    lifetimeSecs: 43_199,
    next: (...answers) => void queue.push(...answers),
    always: (answer) => void (standing = answer),
    reset() {
      queue = [];
      standing = null;
      issued = 0;
      uaa.lifetimeSecs = 43_199;
      uaa.requests.splice(0);
    },
    close: () => server.close(),
  };
  return uaa;
}

/** `invalid_client` as UAA says it, to wrong secrets and wrong passwords alike. */
export const badCredentials: Answer = (response) => {
  response.setHeader(
    'www-authenticate',
    'Basic realm="UAA/client", error="unauthorized", error_description="Bad credentials"',
  );
  sendJson(response, 401, { error: 'invalid_client', error_description: 'Bad credentials' });
};

export const answer =
  (
    status: number,
    body = '',
    contentType = 'application/json',
    headers: Record<string, string> = {},
  ): Answer =>
  (response) => {
    response.writeHead(status, { 'content-type': contentType, ...headers });
    response.end(body);
  };

export const token = (fields: Record<string, unknown>): Answer =>
  answer(200, JSON.stringify({ access_token: 'fresh', token_type: 'bearer', expires_in: 60, ...fields }));

export const hang: Answer = () => {};
