import { expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { readCheckoutFile, readManifest } from './manifest.js';

test('vars.yml has a value for every variable of manifest.yml, and no other', () => {
  const used = [...readCheckoutFile('manifest.yml').matchAll(/\(\(([\w-]+)\)\)/g)].map(([, name]) => name);
  expect(Object.keys(parse(readCheckoutFile('vars.yml')) as object).sort()).toEqual(
    [...new Set(used)].sort(),
  );
});

test('the manifest pushes what npm run package makes, with both health checks', () => {
  expect(readManifest()).toMatchObject({
    path: 'build/app',
    buildpacks: ['nodejs_buildpack'],
    instances: 2,
    memory: expect.stringMatching(/^\d+M$/),
    disk_quota: expect.stringMatching(/^\d+M$/),
    routes: [{ route: expect.any(String) }],
    env: { EVENTGENERATOR_MODE: '' },
    services: ['eventgenerator-config', 'eventgenerator-database'],
    'health-check-type': 'http',
    'health-check-http-endpoint': '/health/liveness',
    'readiness-health-check-type': 'http',
    'readiness-health-check-http-endpoint': '/health/readiness',
  });
});

test('the readiness check waits longer than the endpoint may take for a component that does not answer', () => {
  expect(readManifest()['readiness-health-check-invocation-timeout']).toBeGreaterThan(5);
});

test('what the checkout holds for development alone is not pushed with it either', () => {
  const ignored = readCheckoutFile('.cfignore').split('\n');
  expect(ignored).toEqual(
    expect.arrayContaining(['/node_modules', '/src', '/workers', '/test', '/dist/test', '/build', '*.map']),
  );
});
