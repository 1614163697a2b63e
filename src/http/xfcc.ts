import { X509Certificate } from 'node:crypto';

/*
 * The X-Forwarded-Client-Cert header as gorouter sets it: the client's leaf certificate as one line of standard
 * base64 of its DER form, also in double quotes. PEM, URL encoding and Envoy's `Hash=…;Cert=…` are refused: one
 * reading of the header leaves no room for two readings of it. The header identifies a client only where the router
 * removes what the client itself sent (`router.forwarded_client_cert: sanitize_set`).
 */

/** Diego's certificates take about 1.5 kB, with RSA 4096 and long subjects twice that. Characters. */
const maxHeaderLength = 8192;

export interface XfccRules {
  /** Empty: everything is refused. */
  readonly validOrgGuid: string;
  /** Empty: any space of the org. */
  readonly validSpaceGuid: string;
  /** The certificate must be issued directly by one of these and be valid now; null: neither is checked. */
  readonly issuers: readonly X509Certificate[] | null;
}

type XfccRefusal =
  | 'no-org-configured'
  | 'missing'
  | 'several-headers'
  | 'too-long'
  | 'not-base64'
  | 'not-a-certificate'
  | 'wrong-org'
  | 'wrong-space'
  | 'unknown-issuer'
  | 'not-valid-now';

export type XfccVerdict =
  | { readonly accepted: true; readonly validFromMs: number; readonly validUntilMs: number }
  | {
      readonly accepted: false;
      readonly refusal: XfccRefusal;
      /** The name of the issuer that is not known; only of `unknown-issuer`. */
      readonly issuer?: string;
    };

/** Whether the client behind the header values may call. Never throws, whatever the values are. */
export function checkXfcc(values: readonly string[], rules: XfccRules, nowMs: number): XfccVerdict {
  if (rules.validOrgGuid === '') return refuse('no-org-configured');
  const [value] = values;
  if (value === undefined) return refuse('missing');
  if (values.length > 1) return refuse('several-headers');
  if (value.length > maxHeaderLength) return refuse('too-long');

  const base64 = value.trim().replace(/^"(.*)"$/, '$1');
  if (!/^[A-Za-z0-9+/]+={0,2}$/.test(base64)) return refuse('not-base64');
  const certificate = parseDer(Buffer.from(base64, 'base64'));
  if (!certificate) return refuse('not-a-certificate');

  const units = organizationalUnits(certificate);
  if (!units.includes(`organization:${rules.validOrgGuid}`)) return refuse('wrong-org');
  if (rules.validSpaceGuid !== '' && !units.includes(`space:${rules.validSpaceGuid}`)) {
    return refuse('wrong-space');
  }

  const validity = validityOf(certificate);
  if (rules.issuers) {
    if (!rules.issuers.some((issuer) => isIssuer(issuer, certificate, nowMs))) {
      return { accepted: false, refusal: 'unknown-issuer', issuer: nameOf(certificate.issuer) };
    }
    if (!isValidAt(validity, nowMs)) return refuse('not-valid-now');
  }
  return { accepted: true, ...validity };
}

export function isValidAt(
  { validFromMs, validUntilMs }: { validFromMs: number; validUntilMs: number },
  nowMs: number,
): boolean {
  return validFromMs <= nowMs && nowMs <= validUntilMs;
}

/** Every certificate of a PEM text; throws if there is none or one cannot be read. */
export function parseIssuers(pem: string): X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new Error('the CA file for XFCC certificates holds no PEM certificate');
  return blocks.map((block) => new X509Certificate(block));
}

function refuse(refusal: XfccRefusal): XfccVerdict {
  return { accepted: false, refusal };
}

/** On one line and no longer than a log line can bear: whoever calls chose it. */
function nameOf(distinguishedName: string): string {
  return distinguishedName.replaceAll('\n', ', ').slice(0, maxNameLength);
}

const maxNameLength = 300;

/** Node reads PEM as well, and ignores what follows a certificate: neither is the header's form. */
function parseDer(bytes: Buffer): X509Certificate | null {
  try {
    const certificate = new X509Certificate(bytes);
    return certificate.raw.equals(bytes) ? certificate : null;
  } catch {
    return null;
  }
}

/** All values, also those of one multi-valued RDN; taken from the parsed subject, which no value can imitate. */
function organizationalUnits(certificate: X509Certificate): readonly string[] {
  const units: unknown = (
    certificate.toLegacyObject().subject as Partial<Record<string, unknown>> | undefined
  )?.['OU'];
  return [units].flat().filter((unit): unit is string => typeof unit === 'string');
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
