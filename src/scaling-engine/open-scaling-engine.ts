import type { Config } from '../config/config.js';
import type { Releasers } from '../util/releasers.js';
import { createScalingEngineClient, type ScalingEngineClient } from './scaling-engine-client.js';
import { openCaCertificates } from '../tls/ca-certificates.js';
import { openKeyPair } from '../tls/key-pair.js';
import type { ProcessContext } from '../observability/process-context.js';

/** The scaling engine's client, with the client certificate where one is configured (on Cloud Foundry always). */
export async function openScalingEngine(
  config: Pick<Config, 'scalingEngine' | 'httpClientTimeoutMs'>,
  { clock, logger: parent, metrics, trust }: ProcessContext,
  releasers: Releasers,
): Promise<ScalingEngineClient> {
  const logger = parent.child('scaling-engine');
  const { url, tls } = config.scalingEngine;
  const keyPair =
    tls.key && tls.cert
      ? await openKeyPair({ key: tls.key, cert: tls.cert, name: 'scaling_engine', clock, logger, metrics })
      : null;
  if (keyPair) releasers.add('scaling engine certificate', () => keyPair.close());
  const roots = await openCaCertificates({
    name: 'scalingEngine.tls.ca_file',
    ca: tls.ca,
    trust,
    clock,
    logger,
    metrics,
  });
  releasers.add('scaling engine CA certificates', () => roots.close());
  const client = createScalingEngineClient({
    url,
    keyPair,
    clock,
    roots,
    timeoutMs: config.httpClientTimeoutMs,
  });
  releasers.add('scaling engine client', () => client.close());
  return client;
}
