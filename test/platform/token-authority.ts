import {
  createHash,
  createPublicKey,
  generateKeyPair,
  randomUUID,
  sign,
  verify,
  type KeyObject,
} from 'node:crypto';
import { promisify } from 'node:util';
import type { Clock } from '../../src/util/clock.js';

export interface TokenClaims {
  readonly sub: string;
  readonly client_id: string;
  readonly grant_type: string;
  readonly scope: readonly string[];
  readonly jti: string;
  readonly iss: string;
  /** Counts the tokens of an authority, so that all up to one can be revoked. */
  readonly serial: number;
  /** Seconds since the epoch. */
  readonly iat: number;
  readonly exp: number;
}

interface IssuedToken {
  readonly token: string;
  readonly claims: TokenClaims;
}

const maxRemembered = 10_000;

/** Making an RSA key takes a tenth of a second, so a process makes one for all its platforms. */
let sharedKey: Promise<KeyObject> | undefined;

/** Signs and checks tokens (JWT, RS256). UAA issues them, the auth proxy checks them. */
export class TokenAuthority {
  readonly #publicKey: KeyObject;
  readonly keyId = 'platform-key-1';
  /** Signatures found good, so that a token is not verified anew for each request. */
  readonly #verified = new Map<string, TokenClaims>();
  #issued = 0;
  #revokedUpTo = 0;

  private constructor(
    private readonly privateKey: KeyObject,
    private readonly issuer: string,
    private readonly clock: Pick<Clock, 'now'>,
  ) {
    this.#publicKey = createPublicKey(privateKey);
  }

  static async create(issuer: string, clock: Pick<Clock, 'now'>): Promise<TokenAuthority> {
    sharedKey ??= promisify(generateKeyPair)('rsa', { modulusLength: 2048 }).then((pair) => pair.privateKey);
    return new TokenAuthority(await sharedKey, issuer, clock);
  }

  issue(
    subject: string,
    clientId: string,
    grantType: string,
    scope: readonly string[],
    lifetimeSecs: number,
  ): IssuedToken {
    const iat = Math.floor(this.clock.now() / 1000);
    const claims: TokenClaims = {
      sub: subject,
      client_id: clientId,
      grant_type: grantType,
      scope,
      iss: this.issuer,
      serial: ++this.#issued,
      jti: randomUUID().replaceAll('-', ''),
      iat,
      exp: iat + lifetimeSecs,
    };
    const payload = { ...claims, cid: clientId, azp: clientId, zid: 'uaa', aud: scope };
    const signed = `${encode({ alg: 'RS256', jku: `${this.issuer}/token_keys`, kid: this.keyId, typ: 'JWT' })}.${encode(payload)}`;
    const signature = sign('sha256', Buffer.from(signed), this.privateKey).toString('base64url');
    const token = `${signed}.${signature}`;
    this.#remember(token, claims);
    return { token, claims };
  }

  /** The claims of a token that is good now, else undefined. */
  check(token: string): TokenClaims | undefined {
    const claims = this.#verified.get(digest(token)) ?? this.#verify(token);
    if (claims?.iss !== this.issuer || claims.serial <= this.#revokedUpTo) return undefined;
    return claims.exp * 1000 > this.clock.now() ? claims : undefined;
  }

  /** Every token issued so far is refused from now on. */
  revokeAll(): void {
    this.#revokedUpTo = this.#issued;
  }

  /** The JSON Web Key that checks the signatures. */
  publicJwk(): Record<string, unknown> {
    return { ...this.#publicKey.export({ format: 'jwk' }), kid: this.keyId, alg: 'RS256', use: 'sig' };
  }

  #verify(token: string): TokenClaims | undefined {
    const [header = '', payload = '', signature = '', ...rest] = token.split('.');
    const good =
      rest.length === 0 &&
      signature !== '' &&
      verify(
        'sha256',
        Buffer.from(`${header}.${payload}`),
        this.#publicKey,
        Buffer.from(signature, 'base64url'),
      );
    if (!good) return undefined;
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as TokenClaims;
    this.#remember(token, claims);
    return claims;
  }

  #remember(token: string, claims: TokenClaims): void {
    const oldest = this.#verified.keys().next();
    if (this.#verified.size >= maxRemembered && !oldest.done) this.#verified.delete(oldest.value);
    this.#verified.set(digest(token), claims);
  }
}

function digest(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
