import type { TokenAuthority } from './token-authority.js';
import type { UaaAccounts } from './uaa-accounts.js';

const adminScopes = ['doppler.firehose', 'logs.admin'];

/** The decision of log-cache's auth proxy. It has one answer for everyone it refuses: 404 and an empty body. */
export class AuthProxy {
  constructor(
    private readonly authority: Pick<TokenAuthority, 'check'>,
    private readonly accounts: Pick<UaaAccounts, 'mayRead'>,
  ) {}

  /** `canAsk`: whether Cloud Controller answers, which decides for those without an admin scope. */
  allows(authorization: string | undefined, sourceIds: readonly string[], canAsk = true): boolean {
    // The word before the token may be left out.
    const token = /^(?:bearer +)?(\S+)$/i.exec(authorization ?? '')?.[1];
    const claims = token === undefined ? undefined : this.authority.check(token);
    if (!claims) return false;
    if (claims.scope.some((scope) => adminScopes.includes(scope))) return true;
    return canAsk && sourceIds.every((sourceId) => this.accounts.mayRead(claims.sub, sourceId));
  }
}
