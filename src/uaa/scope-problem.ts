/** With one of these a token serves every app in log-cache. UAA copies a client's authorities into the scopes. */
const adminScopes = ['logs.admin', 'doppler.firehose'];
const maxScopesNamed = 20;

/**
 * Why log-cache may reject every app, in one sentence, or null where the token has the scope it needs. Takes a token or a
 * whole Authorization value. The signature is not checked: this explains, it does not decide.
 */
export function scopeProblem(accessToken: string): string | null {
  const claims = payloadOf(accessToken.replace(/^bearer /i, ''));
  if (!claims) {
    return 'UAA issued an opaque token, which log-cache cannot read: configure the UAA client for JWT tokens';
  }
  const scopes = scopesOf(claims);
  if (scopes.some((scope) => adminScopes.includes(scope))) return null;
  const who = `UAA client "${text(claims, 'client_id') || text(claims, 'cid') || 'unknown'}"`;
  const has = scopes.length > 0 ? scopes.slice(0, maxScopesNamed).join(', ') : 'no scope at all';
  const user = text(claims, 'user_name');
  const remedy = user
    ? `add user "${user}" to the group logs.admin, and the scope to the client`
    : 'add logs.admin to the authorities of the client';
  return `The token of ${who} lacks the scope ${adminScopes.join(' or ')} (it has ${has}), so log-cache shows only apps that the token may see: ${remedy}`;
}

function payloadOf(token: string): Record<string, unknown> | null {
  const parts = token.split('.');
  if (parts.length !== 3) return null;
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString('utf8'));
    return typeof claims === 'object' && claims !== null ? (claims as Record<string, unknown>) : null;
  } catch {
    return null;
  }
}

function scopesOf(claims: Record<string, unknown>): string[] {
  const scope = claims['scope'];
  if (typeof scope === 'string') return scope.split(' ').filter(Boolean);
  return Array.isArray(scope) ? scope.filter((name) => typeof name === 'string') : [];
}

function text(claims: Record<string, unknown>, name: string): string {
  const value = claims[name];
  return typeof value === 'string' ? value.slice(0, 100) : '';
}
