import type { Config, UaaConfig } from './config.js';
import type { Report } from './report.js';
import type { ConfigValues } from './keys.js';
import { resolveTls } from './tls-files.js';
import { addressError, httpsUrlError, withoutTrailingSlash } from './urls.js';

const section = 'metricCollector';

/** log-cache is asked over HTTPS with a UAA token where a UAA is configured, else over gRPC with mutual TLS. */
export function resolveLogCache(values: ConfigValues['metricCollector'], report: Report): Config['logCache'] {
  const uaa = resolveUaa(values.uaa, report);
  const url = values.metric_collector_url;
  const key = `${section}.metric_collector_url`;
  const problem = uaa
    ? httpsUrlError(url)
    : url === ''
      ? 'is empty: allowed is host:port'
      : addressError(url);
  if (problem !== undefined) report.invalid(key, problem, [`${section}.uaa.url`]);
  const tls = resolveTls(values.tls, `${section}.tls`, report);
  if (!uaa && !tls.key) {
    report.warn(
      `${section}.tls.key_file and cert_file are empty: log-cache's gRPC port demands a client certificate and will reject every call; configure them, or ${section}.uaa to ask over HTTPS.`,
    );
  }
  return { url: withoutTrailingSlash(url), tls, uaa };
}

function resolveUaa(values: ConfigValues['metricCollector']['uaa'], report: Report): UaaConfig | null {
  if (values.url === '') {
    if (Object.values(values).some(Boolean)) {
      report.warn(
        `${section}.uaa.url is empty: the other keys of ${section}.uaa are ignored, and log-cache is asked over gRPC.`,
      );
    }
    return null;
  }
  if (values.skip_ssl_validation) {
    report.warn(
      `${section}.uaa.skip_ssl_validation is true: the certificates of UAA and log-cache are not verified, whoever is between can read the client's secret.`,
    );
  }
  const byPassword = values.grant_type.toLowerCase() === 'password';
  if (byPassword && values.username === '') report.invalid(`${section}.uaa.username`, passwordGrantNeeds);
  if (byPassword && values.password === '') report.invalid(`${section}.uaa.password`, passwordGrantNeeds);
  if (!byPassword && values.client_id === '') {
    report.invalid(
      `${section}.uaa.client_id`,
      'is empty: the grant_type client_credentials needs a client_id',
    );
  }
  return {
    url: withoutTrailingSlash(values.url),
    clientId: values.client_id || 'cf',
    clientSecret: values.client_secret,
    grant: byPassword
      ? { type: 'password', username: values.username, password: values.password }
      : { type: 'client_credentials' },
    skipSslValidation: values.skip_ssl_validation,
  };
}

const passwordGrantNeeds = 'is empty: the grant_type password needs username and password';
