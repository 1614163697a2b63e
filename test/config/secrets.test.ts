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

function allKeys(section: Section, path = ''): (readonly [key: string, isSecret: boolean])[] {
  return Object.entries(section).flatMap(([name, entry]) => {
    if (!isSetting(entry)) return allKeys(entry, `${path}${name}.`);
    return [[path + name, entry.sensitive ?? false] as const];
  });
}

const secretKeys = allKeys(keys).flatMap(([key, isSecret]) => (isSecret ? [key] : []));

test('every key that can hold a secret is known as one', () => {
  expect(secretKeys).toEqual([
    'health.basic_auth.username_hash',
    'health.basic_auth.password',
    'health.basic_auth.password_hash',
    'db.policy_db.url',
    'db.appmetrics_db.url',
    'metricCollector.uaa.client_secret',
    'metricCollector.uaa.password',
  ]);
});

test.each(secretKeys)('%s is shown in no message, whatever is wrong with it', (key) => {
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

test.each(allKeys(keys))('a URL with a password that stands at %s by mistake is not shown', (key) => {
  for (const value of [`postgres://u:${canary}@h/d`, `https://u:${canary}@h?x=1`, `u:${canary}@h:1`]) {
    const message = refusal(() => loadFile(minimalWith({ defaultStatWindowSecs: 7, [key]: value })));
    expect(message).not.toContain(canary);
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
