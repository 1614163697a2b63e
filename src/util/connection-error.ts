import { errorCode, errorText } from './errors.js';

/** By the code of the system or of OpenSSL: what is wrong, or what the operator can do about it. */
const remedies: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ECONNRESET: 'the connection was closed by the other side',
  UND_ERR_SOCKET: 'the connection was closed by the other side',
  CERT_HAS_EXPIRED: "the server's certificate has expired",
  ERR_TLS_CERT_ALTNAME_INVALID: "the server's certificate is for another host name",
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: "the server does not trust our client certificate's CA",
  ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED: 'the server says that our client certificate has expired',
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: 'the server demands a client certificate',
};

const unknownCa = 'comes from an unknown CA';
/** The server's certificate is not trusted, and why. */
const untrusted: Readonly<Record<string, string>> = {
  DEPTH_ZERO_SELF_SIGNED_CERT: 'is self-signed',
  SELF_SIGNED_CERT_IN_CHAIN: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT: unknownCa,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownCa,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownCa,
};

/** One readable clause about a failed connection: the cause and, where there is one, the remedy. */
export function describeConnectionError(error: unknown): string {
  const code = errorCode(error);
  const remedy = remedies[code] ?? trustRemedy(error, 'ca_file');
  return remedy ? `${remedy} (${code})` : errorText(error);
}

/** What an error says and, where the server's certificate is not trusted, the remedy: `setting` names CA certificates. */
export function withTrustRemedy(error: unknown, setting: string): string {
  const remedy = trustRemedy(error, setting);
  return remedy ? `${errorText(error)}: ${remedy}` : errorText(error);
}

function trustRemedy(error: unknown, setting: string): string | undefined {
  const code = errorCode(error);
  if (code === 'CERT_SIGNATURE_FAILURE') {
    return `the server's certificate is not signed by the CA of that name that is trusted here: where two CAs have one name, give the one that issued it as ${setting}, or issue them with subject and authority key identifiers`;
  }
  const fault = untrusted[code];
  return (
    fault &&
    `the server's certificate ${fault}: give its CA certificate as ${setting}, or add it to the system's certificates`
  );
}
