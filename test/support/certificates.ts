import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import * as x509 from '@peculiar/x509';

x509.cryptoProvider.set(webcrypto);

/** A key pair and certificate as PEM text. `chain` is the certificate followed by its intermediates. */
export interface IssuedCertificate {
  readonly key: string;
  readonly cert: string;
  readonly chain: string;
}

interface CertificateSubject {
  readonly commonName: string;
  /** All values go into one multi-valued RDN, as Diego's instance identity has them. */
  readonly organizationalUnits?: readonly string[];
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
  /** Default: one hour ago. */
  readonly notBefore?: Date;
  /** Default: tomorrow. */
  readonly notAfter?: Date;
}

export interface CertificateAuthority {
  /** PEM of the authority's own certificate. */
  readonly cert: string;
  issue(subject: CertificateSubject): Promise<IssuedCertificate>;
  /** A subordinate authority; certificates that it issues carry its own certificate in their chain. */
  intermediate(commonName: string, options?: { readonly isCa: boolean }): Promise<CertificateAuthority>;
}

const ecdsa = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const hour = 3_600_000;
let serial = 1;

/** Makes a self-signed certificate authority (ECDSA P-256: quick to make, and what Go and Node both accept). */
export async function createCertificateAuthority(commonName = 'Test CA'): Promise<CertificateAuthority> {
  const keys = await generateKeys();
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: nextSerial(),
    name: [{ CN: [commonName] }],
    notBefore: new Date(Date.now() - hour),
    notAfter: new Date(Date.now() + 240 * hour),
    signingAlgorithm: ecdsa,
    keys,
    extensions: authorityExtensions(),
  });
  return authority(cert, keys, []);
}

function authority(
  cert: x509.X509Certificate,
  keys: webcrypto.CryptoKeyPair,
  intermediates: readonly string[],
): CertificateAuthority {
  const sign = (subject: CertificateSubject, publicKey: webcrypto.CryptoKey, extensions: x509.Extension[]) =>
    x509.X509CertificateGenerator.create({
      serialNumber: nextSerial(),
      subject: [
        ...(subject.organizationalUnits ? [{ OU: [...subject.organizationalUnits] }] : []),
        { CN: [subject.commonName] },
      ],
      issuer: cert.subject,
      notBefore: subject.notBefore ?? new Date(Date.now() - hour),
      notAfter: subject.notAfter ?? new Date(Date.now() + 24 * hour),
      signingAlgorithm: ecdsa,
      publicKey,
      signingKey: keys.privateKey,
      extensions,
    });

  return {
    cert: cert.toString('pem'),
    async issue(subject) {
      const leafKeys = await generateKeys();
      const names: x509.JsonGeneralNames = [
        ...(subject.dnsNames ?? []).map((value) => ({ type: 'dns' as const, value })),
        ...(subject.ipAddresses ?? []).map((value) => ({ type: 'ip' as const, value })),
      ];
      const leaf = await sign(subject, leafKeys.publicKey, [
        new x509.BasicConstraintsExtension(false),
        new x509.ExtendedKeyUsageExtension([
          x509.ExtendedKeyUsage.serverAuth,
          x509.ExtendedKeyUsage.clientAuth,
        ]),
        ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : []),
      ]);
      const certPem = leaf.toString('pem');
      return {
        key: await privateKeyPem(leafKeys),
        cert: certPem,
        chain: [certPem, ...intermediates].join('\n'),
      };
    },
    async intermediate(commonName, { isCa } = { isCa: true }) {
      const subKeys = await generateKeys();
      const extensions = isCa ? authorityExtensions() : [new x509.BasicConstraintsExtension(false)];
      const subCert = await sign({ commonName }, subKeys.publicKey, extensions);
      return authority(subCert, subKeys, [subCert.toString('pem'), ...intermediates]);
    },
  };
}

function authorityExtensions(): x509.Extension[] {
  return [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
  ];
}

async function generateKeys(): Promise<webcrypto.CryptoKeyPair> {
  return webcrypto.subtle.generateKey(ecdsa, true, ['sign', 'verify']);
}

async function privateKeyPem(keys: webcrypto.CryptoKeyPair): Promise<string> {
  const der = await webcrypto.subtle.exportKey('pkcs8', keys.privateKey);
  return x509.PemConverter.encode(der, 'PRIVATE KEY');
}

function nextSerial(): string {
  return (serial++).toString(16).padStart(4, '0');
}
