import { METHODS } from 'node:http';
import { afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { closeServers, historyPath, issueCertificates, start, xfcc } from './servers-scene.js';
import { ask, basic, virtualMachineConfig } from './support.js';

let certificates: Awaited<ReturnType<typeof issueCertificates>>;
beforeAll(async () => void (certificates = await issueCertificates()));
afterEach(closeServers);

describe('every method but GET', () => {
  const methods = METHODS.filter((method) => !['GET', 'HEAD', 'CONNECT'].includes(method));
  const basicAuth = { username: { plain: 'u' }, password: { plain: 'p' } };

  test('is answered with 405 and our own body, after authentication, on every listener', async () => {
    const { port } = await start(virtualMachineConfig({ health: { basicAuth, readinessEnabled: true } }));
    const paths = [
      ['api', historyPath, {}],
      ['api', '/v1/liveness', {}],
      ['cf', historyPath, xfcc(certificates.client)],
      ['health', '/health', basic('u', 'p')],
      ['health', '/any/path', basic('u', 'p')],
      ['health', '/debug/pprof/profile', basic('u', 'p')],
      ['health', '/health/liveness', {}],
      ['health', '/health/readiness', {}],
    ] as const;
    for (const [name, path, headers] of paths) {
      const url = `http://127.0.0.1:${port(name)}${path}`;
      for (const method of methods) {
        const answer = await ask(url, { method, headers });
        expect([method, path, answer.status, JSON.parse(answer.body)]).toEqual([
          ...[method, path, 405],
          { code: 'Method-Not-Allowed', message: expect.stringContaining(`${method} is not allowed here`) },
        ]);
        expect(answer.headers['cache-control']).toBe('no-store');
        if (Object.keys(headers).length > 0) expect((await ask(url, { method })).status).toBe(401);
      }
    }
  });

  test('is 404 at a path where nothing is', async () => {
    const { port } = await start(virtualMachineConfig());
    for (const method of methods) {
      const answer = await ask(`http://127.0.0.1:${port('api')}/nothing`, { method });
      expect([method, answer.status]).toEqual([method, 404]);
      expect(JSON.parse(answer.body)).toEqual({
        code: 'Not-Found',
        message: 'There is nothing at this path',
      });
    }
  });
});
