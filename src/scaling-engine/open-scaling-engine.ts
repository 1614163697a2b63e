import type { Config } from '../config/config.js';
import type { Releasers } from '../util/releasers.js';
import { createScalingEngineClient, type ScalingEngineClient } from './scaling-engine-client.js';
import { openCaCertificates } from '../tls/ca-certificates.js';
import { openKeyPair } from '../tls/key-pair.js';
import type { ProcessContext } from '../observability/process-context.js';

/** The scaling engine's client, with the client certificate where one is configured (on Cloud Foundry always). */
export async function openScalingEngine(
  config: Pick<Config, 'scalingEngine' | 'httpClientTimeoutMs'>,
  given: ProcessContext,
  releasers: Releasers,
): Promise<ScalingEngineClient> {
  const context = { ...given, logger: given.logger.child('scaling-engine') };
  const { url, tls } = config.scalingEngine;
  const { key, cert, ca } = tls;
  const keyPair = key && cert ? await openKeyPair({ ...context, key, cert, name: 'scaling_engine' }) : null;
  if (keyPair) releasers.add('scaling engine certificate', () => keyPair.close());
  const roots = await openCaCertificates({ ...context, name: 'scalingEngine.tls.ca_file', ca });
  releasers.add('scaling engine CA certificates', () => roots.close());
  const { httpClientTimeoutMs: timeoutMs } = config;
  const client = createScalingEngineClient({ ...context, url, keyPair, roots, timeoutMs });
  releasers.add('scaling engine client', () => client.close());
  return client;
}
