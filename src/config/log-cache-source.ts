import type { Config, UaaConfig } from './config.js';
import type { ValidationErrors } from './validation-errors.js';
import type { ConfigValues } from './keys.js';
import { resolveTls } from './tls-files.js';
import { addressError, httpsUrlError, withoutTrailingSlash } from './urls.js';

const section = 'metricCollector';

/** log-cache is asked over HTTPS with a UAA token where a UAA is configured, else over gRPC with mutual TLS. */
export function resolveLogCache(
  values: ConfigValues['metricCollector'],
  faults: ValidationErrors,
  warnings: string[],
): Config['logCache'] {
  const uaa = resolveUaa(values.uaa, faults, warnings);
  const url = values.metric_collector_url;
  const key = `${section}.metric_collector_url`;
  const fault = uaa ? httpsUrlError(url) : url === '' ? 'is empty: allowed is host:port' : addressError(url);
  if (fault !== undefined) faults.invalid(key, fault, [`${section}.uaa.url`]);
  const tls = resolveTls(values.tls, `${section}.tls`, faults);
  if (!uaa && !tls.key) {
    warnings.push(
      `${section}.tls.key_file and cert_file are empty: log-cache's gRPC port demands a client certificate and will refuse every call; configure them, or ${section}.uaa to ask over HTTPS.`,
    );
  }
  return { url: withoutTrailingSlash(url), tls, uaa };
}

function resolveUaa(
  values: ConfigValues['metricCollector']['uaa'],
  faults: ValidationErrors,
  warnings: string[],
): UaaConfig | null {
  if (values.url === '') {
    if (Object.values(values).some(Boolean)) {
      warnings.push(
        `${section}.uaa.url is empty: the other keys of ${section}.uaa are ignored, and log-cache is asked over gRPC.`,
      );
    }
    return null;
  }
  if (values.skip_ssl_validation) {
    warnings.push(
      `${section}.uaa.skip_ssl_validation is true: the certificates of UAA and log-cache are not verified, whoever is between can read the client's secret.`,
    );
  }
  const byPassword = values.grant_type.toLowerCase() === 'password';
  if (byPassword && values.username === '') faults.invalid(`${section}.uaa.username`, passwordGrantNeeds);
  if (byPassword && values.password === '') faults.invalid(`${section}.uaa.password`, passwordGrantNeeds);
  if (!byPassword && values.client_id === '') {
    faults.invalid(
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
