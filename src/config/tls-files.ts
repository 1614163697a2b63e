import type { PemSource, TlsConfig } from './config.js';
import type { ConfigValues } from './keys.js';
import type { Report } from './report.js';

/** A key without its certificate, or the other way round, is a mistake; neither is a choice. */
export function resolveTls(files: ConfigValues['server']['tls'], key: string, report: Report): TlsConfig {
  if (files.cert_file && !files.key_file) {
    report.invalid(`${key}.key_file`, 'is empty although cert_file is set: configure both or neither');
  }
  if (files.key_file && !files.cert_file) {
    report.invalid(`${key}.cert_file`, 'is empty although key_file is set: configure both or neither');
  }
  return {
    key: fileSource(files.key_file),
    cert: fileSource(files.cert_file),
    ca: fileSource(files.ca_file),
  };
}

export function fileSource(file: string): PemSource | null {
  return file === '' ? null : { file };
}

export const noTls: TlsConfig = { key: null, cert: null, ca: null };
