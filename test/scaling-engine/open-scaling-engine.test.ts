import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sleep, systemClock } from '../../src/util/clock.js';
import { openScalingEngine } from '../../src/scaling-engine/open-scaling-engine.js';
import type { ScalingEngineClient } from '../../src/scaling-engine/scaling-engine-client.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { constantLoad } from '../platform/load-script.js';
import { startPlatform, type Platform } from '../platform/platform.js';
import { makeScene, until, type Scene } from '../eventgenerator/scene.js';

/* With the real clock, the real watch on real files, and the platform's scaling engine behind mutual TLS. */

const appCount = 24;
let platform: Platform;
let folder: string;
let scene: Scene;
let client: ScalingEngineClient;

beforeEach(async () => {
  const load = constantLoad({ requestsPerSecond: 50, cpuPercent: 100 });
  platform = await startPlatform({
    apps: Array.from({ length: appCount }, (_, i) => ({ guid: `app-${i}`, load, maxInstances: 1000 })),
  });
  folder = await mkdtemp(join(tmpdir(), 'scaling-engine-'));
  const { key, chain } = await platform.issueCertificate('eventgenerator');
  await replace('key', key);
  await replace('crt', chain);
  scene = makeScene();
  const tls = {
    key: { file: join(folder, 'instance.key') },
    cert: { file: join(folder, 'instance.crt') },
    ca: { pem: platform.ca },
  };
  client = await openScalingEngine(
    { scalingEngine: { url: platform.urls.scalingEngine, tls }, httpClientTimeoutMs: 15_000 },
    scene.context,
    scene.releasers,
  );
});
afterEach(async () => {
  await scene.releasers.releaseAll();
  await platform.stop();
  await rm(folder, { recursive: true });
});

async function replace(kind: 'key' | 'crt', content: string): Promise<void> {
  const path = join(folder, `instance.${kind}`);
  await writeFile(`${path}.new`, content);
  await rename(`${path}.new`, path);
}

test('a certificate rotated under load, key first and half a second later the certificate, causes no failed trigger', async () => {
  const results: TriggerResult[] = [];
  let loaded = true;
  const postFor = async (app: number) => {
    while (loaded) {
      results.push(
        await client.post({
          app_id: `app-${app}`,
          metric_type: 'cpu',
          metric_unit: '%',
          breach_duration_secs: 120,
          threshold: 80n,
          operator: '>',
          cool_down_secs: 1,
          adjustment: '+1',
        }),
      );
    }
  };
  const few = Array.from({ length: 4 }, (_, app) => postFor(app));
  await until(() => results.length > 20);

  const renewed = await platform.issueCertificate('eventgenerator');
  await replace('key', renewed.key);
  // More at once than there are connections: some are made while key and certificate on disk do not match.
  const many = Array.from({ length: appCount - 4 }, (_, i) => postFor(i + 4));
  await sleep(systemClock, 500);
  await replace('crt', renewed.chain);
  await until(() => scene.events().includes('scaling-engine.certificate-reloaded'));
  const after = results.length;
  await until(() => results.length > after + appCount);
  loaded = false;
  await Promise.all([...few, ...many]);

  expect(results.filter(({ kind }) => kind === 'failed')).toEqual([]);
  expect(platform.books.triggers.scaledOut).toBeGreaterThanOrEqual(appCount);
  expect(platform.books.of('scale').byStatus).toEqual({ '200': results.length });
  expect(scene.events()).toEqual(['scaling-engine.certificate-reloaded']);
}, 180_000);
