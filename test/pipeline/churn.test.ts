import { afterAll, expect, test } from '@jest/globals';
import { constantLoad } from '../platform/load-script.js';
import { eventually } from '../support/eventually.js';
import { nothingWrong, startPipeline, stopPipelines } from './harness.js';
import { policyOf, when } from './policies.js';

afterAll(stopPipelines);

const size = 6;
const cpuRule = when('cpu > 80', '+1', { cool_down_secs: 3600 });
const policy = policyOf(cpuRule, when('memoryutil > 100', '+1'));

test('what is kept for apps goes when their policies go, and comes with new ones', async () => {
  const apps = Array.from({ length: 2 * size }, (_, i) => ({
    guid: `app-${i}`,
    tickSecs: 1,
    load: constantLoad({ cpuPercent: 1_000 }),
    ...(i < size ? { policy } : {}),
  }));
  const pipeline = await startPipeline({ apps, speed: 20 });
  const first = apps.slice(0, size);
  const second = apps.slice(size);
  const { books } = pipeline.platform;
  const sizes = async () => ({
    apps: await pipeline.value('appsOwned'),
    histories: await pipeline.value('historyRings'),
    coolDowns: await pipeline.value('coolDowns'),
  });
  const becomes = (expected: Awaited<ReturnType<typeof sizes>>) =>
    eventually(`sizes ${JSON.stringify(expected)}`, async () => {
      const now = await sizes();
      return JSON.stringify(now) === JSON.stringify(expected);
    });

  await books.until(({ triggers }) => triggers.scaledOut === size);
  await becomes({ apps: size, histories: 2 * size, coolDowns: size });

  for (const { guid } of first) await pipeline.setPolicy(guid, policyOf(cpuRule));
  await becomes({ apps: size, histories: size, coolDowns: size });

  for (const { guid } of first) await pipeline.removePolicy(guid);
  await becomes({ apps: 0, histories: 0, coolDowns: 0 });
  const reads = books.of('read').requests;

  for (const { guid } of second) await pipeline.setPolicy(guid, policy);
  await books.until(({ triggers }) => triggers.scaledOut === 2 * size);
  await becomes({ apps: size, histories: 2 * size, coolDowns: size });
  expect(books.of('read').requests).toBeGreaterThan(reads);

  const firstRows = await pipeline.rows('app-0');
  await pipeline.evaluatedAgain(`app-${size}`, 2);
  expect(await pipeline.rows('app-0')).toEqual(firstRows);
  const { falseRows, duplicated } = await pipeline.audit();
  expect({ falseRows, duplicated }).toEqual({ falseRows: nothingWrong.falseRows, duplicated: 0 });
});
