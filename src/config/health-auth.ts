import type { BasicAuthConfig } from './config.js';
import type { Report } from './report.js';
import type { ConfigValues } from './keys.js';

const section = 'health.basic_auth';

/** The forms that bcryptjs can check; a cost below 4 or above 31 does not exist. */
const bcryptHash = /^\$2[aby]\$(?:0[4-9]|[12]\d|3[01])\$[./A-Za-z0-9]{53}$/;

/**
 * Accepted are no credentials, user name and password, both as hashes, and either hash alone. Everything else is a
 * mistake that would leave the endpoint open or locked.
 */
export function resolveBasicAuth(
  values: ConfigValues['health']['basic_auth'],
  report: Report,
): BasicAuthConfig {
  const { username, username_hash, password, password_hash } = values;
  const invalid = (key: string, text: string) => report.invalidHealthCheck(`${section}.${key}`, text);
  for (const [key, plain, hash] of [
    ['username', username, username_hash],
    ['password', password, password_hash],
  ] as const) {
    if (plain && hash) invalid(key, `${key} and healthcheck ${key}_hash are both set: keep one of them`);
    if (hash && !bcryptHash.test(hash)) {
      invalid(
        `${key}_hash`,
        `${key}_hash is not a bcrypt hash: allowed is $2a$, $2b$ or $2y$ with a cost of 04 to 14`,
      );
    }
  }
  if (username && !password) {
    invalid(
      'password',
      `password is empty: ${section}.username needs ${section}.password (hashes go with hashes)`,
    );
  }
  if (password && !username) {
    invalid(
      'username',
      `username is empty: ${section}.password needs ${section}.username (hashes go with hashes)`,
    );
  }
  return { username: credential(username, username_hash), password: credential(password, password_hash) };
}

function credential(plain: string, hash: string) {
  if (plain) return { plain };
  return hash ? { bcrypt: hash } : null;
}
