import { X509Certificate } from 'node:crypto';
import type { XfccConfig } from '../config/config.js';

/*
 * The X-Forwarded-Client-Cert header as gorouter sets it: the client's leaf certificate in DER form, as one line of
 * standard base64, perhaps in double quotes. PEM, URL encoding and Envoy's `Hash=…;Cert=…` are rejected, so that the
 * header has one reading only. It identifies a client only if the router removes what the client itself sent
 * (`router.forwarded_client_cert: sanitize_set`).
 */

/** Characters. Diego's certificates take about 1,500, and twice that with RSA 4096 and long subjects. */
const maxHeaderLength = 8192;

export interface XfccRules extends Omit<XfccConfig, 'ca'> {
  /** The certificate must be issued directly by one of these and be valid now; null: neither is checked. */
  readonly issuers: readonly X509Certificate[] | null;
}

export type XfccVerdict =
  | { readonly accepted: true; readonly validFromMs: number; readonly validUntilMs: number }
  | {
      readonly accepted: false;
      /** For the log, e.g. `wrong-space`. */
      readonly rejection: string;
      /** The name of the issuer that is not known; only of `unknown-issuer`. */
      readonly issuer?: string;
    };

/** Whether the client behind the header values may call. Never throws, whatever the values are. */
export function checkXfcc(values: readonly string[], rules: XfccRules, nowMs: number): XfccVerdict {
  if (rules.validOrgGuid === '') return reject('no-org-configured');
  const [value] = values;
  if (value === undefined) return reject('missing');
  if (values.length > 1) return reject('several-headers');
  if (value.length > maxHeaderLength) return reject('too-long');

  const base64 = value.trim().replace(/^"(.*)"$/, '$1');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return reject('not-base64');
  const certificate = parseDer(Buffer.from(base64, 'base64'));
  if (!certificate) return reject('not-a-certificate');

  const units = organizationalUnits(certificate);
  if (!units.includes(`organization:${rules.validOrgGuid}`)) return reject('wrong-org');
  if (rules.validSpaceGuid !== '' && !units.includes(`space:${rules.validSpaceGuid}`)) {
    return reject('wrong-space');
  }

  const validity = validityOf(certificate);
  if (rules.issuers) {
    if (!rules.issuers.some((issuer) => isIssuer(issuer, certificate, nowMs))) {
      return { accepted: false, rejection: 'unknown-issuer', issuer: nameOf(certificate.issuer) };
    }
    if (!isValidAt(validity, nowMs)) return reject('not-valid-now');
  }
  return { accepted: true, ...validity };
}

export function isValidAt(
  { validFromMs, validUntilMs }: { validFromMs: number; validUntilMs: number },
  nowMs: number,
): boolean {
  return validFromMs <= nowMs && nowMs <= validUntilMs;
}

function reject(rejection: string): XfccVerdict {
  return { accepted: false, rejection };
}

/** Characters of a name in the log: the caller chose it. */
const maxNameLength = 300;

function nameOf(distinguishedName: string): string {
  return distinguishedName.replaceAll('\n', ', ').slice(0, maxNameLength);
}

/** Node.js also reads PEM, and ignores what follows a certificate; the header may have neither. */
function parseDer(bytes: Buffer): X509Certificate | null {
  try {
    const certificate = new X509Certificate(bytes);
    return certificate.raw.equals(bytes) ? certificate : null;
  } catch {
    return null;
  }
}

/** All values, also of a multi-valued RDN. Taken from the parsed subject: a value that looks like an RDN stays a value. */
function organizationalUnits(certificate: X509Certificate): readonly string[] {
  const subject = certificate.toLegacyObject().subject as Partial<Record<string, unknown>> | undefined;
  return [subject?.['OU']].flat().filter((unit): unit is string => typeof unit === 'string');
}

function validityOf(certificate: X509Certificate): { validFromMs: number; validUntilMs: number } {
  return { validFromMs: Date.parse(certificate.validFrom), validUntilMs: Date.parse(certificate.validTo) };
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate, nowMs: number): boolean {
  return (
    issuer.ca &&
    isValidAt(validityOf(issuer), nowMs) &&
    certificate.checkIssued(issuer) &&
    certificate.verify(issuer.publicKey)
  );
}
