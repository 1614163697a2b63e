import { expect, test } from '@jest/globals';
import { keys } from '../../src/config/keys.js';
import { loadConfig } from '../../src/config/load-config.js';
import { isSetting, type Section } from '../../src/config/setting.js';
import {
  boundTo,
  cloudFoundryEnv,
  loadFile,
  loadOnCloudFoundry,
  minimalService,
  minimalWith,
  refusal,
} from './support.js';

const canary = 'hunter2';

function secretKeys(section: Section, path = ''): string[] {
  return Object.entries(section).flatMap(([name, entry]) => {
    if (!isSetting(entry)) return secretKeys(entry, `${path}${name}.`);
    return entry.sensitive ? [path + name] : [];
  });
}

test('every key that can hold a secret is known as one', () => {
  expect(secretKeys(keys)).toEqual([
    'health.basic_auth.username_hash',
    'health.basic_auth.password',
    'health.basic_auth.password_hash',
    'db.policy_db.url',
    'db.appmetrics_db.url',
    'metricCollector.uaa.client_secret',
    'metricCollector.uaa.password',
  ]);
});

test.each(secretKeys(keys))('%s is shown in no message, whatever is wrong with it', (key) => {
  for (const value of [
    canary,
    [canary],
    { key: canary },
    `mysql://u:${canary}@h/d`,
    `postgres://h:${canary}`,
  ]) {
    const message = refusal(() => loadFile(minimalWith({ [key]: value, defaultStatWindowSecs: 7 })));
    expect(message).not.toContain(canary);
  }
});

test.each([
  'scalingEngine.scaling_engine_url',
  'metricCollector.metric_collector_url',
  'metricCollector.uaa.url',
])('a password in %s is not shown', (key) => {
  for (const value of [`https://u:${canary}@h`, `u:${canary}@h:1`, `https://u:${canary}@h?x=1`]) {
    expect(refusal(() => loadFile(minimalWith({ [key]: value })))).not.toContain(canary);
  }
});

test('malformed sources are not quoted', () => {
  expect(refusal(() => loadFile(`password: "${canary}`))).not.toContain(canary);
  expect(refusal(() => loadOnCloudFoundry(`password: "${canary}`))).not.toContain(canary);
  for (const variable of ['VCAP_SERVICES', 'VCAP_APPLICATION']) {
    const env = cloudFoundryEnv({ VCAP_SERVICES: boundTo(), [variable]: `{"password": ${canary}` });
    expect(refusal(() => loadConfig({ env }))).not.toContain(canary);
  }
});

test('warnings name ignored keys without their values', () => {
  const { warnings } = loadOnCloudFoundry({ ...minimalService, uaa: { client_secret: canary } });
  expect(warnings).toHaveLength(1);
  expect(warnings.join()).not.toContain(canary);
});
