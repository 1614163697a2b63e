/*
 * Finds secrets in text: error messages of libraries quote URLs, headers and bodies. A pattern that cannot be exact
 * removes too much: a lost word costs less than a leaked password.
 */

const redacted = '[redacted]';

/** Characters of a text in a log line. */
const maxLength = 2048;

/** Searched beyond that, so that a secret across the cut is found. */
const lookAhead = 2048;

/** Names whose values are secrets, also as the end of longer names (`client_secret`, `sslpassword`). */
const secretWords = String.raw`passw(?:or)?d|passphrase|pwd|secret|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?key|credentials?|assertion`;
const tokenWords = String.raw`(?:access|refresh|id|auth|session|uaa)[_-]?token|token|passcode|authorization_code`;
const headerWords = String.raw`(?:proxy-)?authorization|(?:set-)?cookie|x-forwarded-client-cert`;

/** A value in quotes (also escaped ones, as in JSON inside JSON) or up to the next separator. */
const quoted = String.raw`\\{1,3}"(?:(?!\\{1,3}")[\s\S])*(?:\\{1,3}")?|"(?:[^"\\]|\\[\s\S])*"?|'(?:[^'\\]|\\[\s\S])*'?`;
const bare = String.raw`[^\s"'&;,<>(){}\[\]]+`;

/** Words that follow a name in prose: `password: must be a string` is no secret. */
const prose = String.raw`(?!(?:must|is|was|are|should|not|missing|expected|required|cannot|has)\b)`;

type Replacement = readonly [pattern: RegExp, by: string];

const replacements: readonly Replacement[] = [
  [
    /-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|$)/g,
    `[private key redacted]`,
  ],
  // JSON Web Tokens start with the base64 of `{"`; they may be cut off before the first dot.
  [/eyJ[\w-]{10,}(?:\.[\w-]*)*/g, redacted],
  // User and password of a URL, up to the last @ of the word: passwords are often not percent-encoded.
  [/(:\/\/)[^\s"'<>]*@/g, `$1${redacted}@`],
  [/(%3A%2F%2F)[^\s"'&<>]*%40/gi, `$1${redacted}%40`],
  [
    new RegExp(`(${headerWords})(\\\\*["']?\\s*[:=,]\\s*)(?:${quoted}|[^\\r\\n"']+)`, 'gi'),
    `$1$2${redacted}`,
  ],
  // Credentials have a digit, padding or a capital inside the word; `Basic authentication` has not.
  [
    /\b([Bb]earer|BEARER|[Bb]asic|BASIC|[Dd]igest|[Nn]egotiate)(\s+|%20|\+)(?=\S*(?:[0-9=]|[a-z][A-Z]))[\w.~+/=:-]{6,}/g,
    `$1$2${redacted}`,
  ],
  [new RegExp(`((?:${secretWords}|${tokenWords})(?:=|%3D))(?:${quoted}|${bare})`, 'gi'), `$1${redacted}`],
  [
    new RegExp(`((?:${secretWords}|${tokenWords})\\\\*["']\\s*:\\s*)(?:${quoted}|${bare})`, 'gi'),
    `$1${redacted}`,
  ],
  [new RegExp(`((?:${secretWords})\\s*[:=]\\s*)(?:${quoted}|${prose}${bare})`, 'gi'), `$1${redacted}`],
  [new RegExp(`((?:${tokenWords})\\s*[:=]\\s*)(?:${quoted}|[\\w.~+/=-]{16,})`, 'gi'), `$1${redacted}`],
];

/** The text without secrets, cut to the length for a log line. */
export function redactText(text: string): string {
  let result = text.slice(0, maxLength + lookAhead);
  for (const [pattern, by] of replacements) result = result.replace(pattern, by);
  if (text.length <= maxLength) return result;
  return `${result.slice(0, maxLength)}… [${text.length} characters]`;
}

export function truncate(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length)}…`;
}
