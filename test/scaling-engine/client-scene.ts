import { afterAll, afterEach, beforeAll, beforeEach, expect } from '@jest/globals';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createMetrics } from '../../src/observability/metrics.js';
import {
  createScalingEngineClient,
  type ScalingEngineClient,
} from '../../src/scaling-engine/scaling-engine-client.js';
import type { TriggerResult } from '../../src/scaling-engine/trigger-result.js';
import { openKeyPair, type KeyPair } from '../../src/tls/key-pair.js';
import { triggerFor } from '../evaluation/examples.js';
import { createCertificateAuthority, type CertificateAuthority } from '../support/certificates.js';
import { fixedAuthorities } from '../support/fixed-authorities.js';
import { ManualClock } from '../support/manual-clock.js';
import { sendJson, startHttpsServer, type HttpsServer } from '../tls/https-server.js';
import { RecordingLogger } from '../tls/recording-logger.js';

export const timeoutMs = 60_000;
export const expiryNs = '1755700300123456789';
export const scaled = `{"app_id":"an-app","status":0,"adjustment":1,"cool_down_expired_at":${expiryNs}}`;
export const trigger = triggerFor('an-app');

/** What the scaling engine says when the Cloud Controller fails. */
export const ccError = JSON.stringify({
  code: 'Error on request to the cloud-controller via a cf-client',
  message: 'Error taking scaling action:\n{"errors":[],"StatusCode":404}',
});

/** A server in the scaling engine's place, and before each test a new client of it. */
class ClientScene {
  authority!: CertificateAuthority;
  keyPair!: KeyPair;
  engine!: HttpsServer;
  /** How the server answers. */
  handle!: (request: IncomingMessage, response: ServerResponse, body: string) => void;
  clock!: ManualClock;
  client!: ScalingEngineClient;

  async startEngine(): Promise<void> {
    this.authority = await createCertificateAuthority('Engine CA');
    const { key, chain } = await this.authority.issue({ commonName: 'engine', ipAddresses: ['127.0.0.1'] });
    const tls = { key, cert: chain, ca: this.authority.cert, requestCert: true, rejectUnauthorized: true };
    this.engine = await startHttpsServer(tls, (request, response, body) =>
      this.handle(request, response, body),
    );
    const identity = await this.authority.issue({ commonName: 'eventgenerator' });
    this.keyPair = await openKeyPair({
      key: { pem: identity.key },
      cert: { pem: identity.chain },
      name: 'scaling_engine',
      clock: new ManualClock(Date.now()),
      logger: new RecordingLogger(),
      metrics: createMetrics(),
    });
  }

  begin(): void {
    this.handle = (_request, response) => sendJson(response, 200, scaled);
    this.clock = new ManualClock();
    this.client = this.create(this.engine.url);
  }

  create(url: string, pair: KeyPair | null = this.keyPair, timeout = timeoutMs): ScalingEngineClient {
    return createScalingEngineClient({
      url,
      keyPair: pair,
      roots: fixedAuthorities([this.authority.cert]),
      timeoutMs: timeout,
      clock: this.clock,
    });
  }

  /** Replaces the client by one that waits for 200 ms only, and has a connection already. */
  async becomeImpatient(): Promise<void> {
    await this.client.close();
    this.client = this.create(this.engine.url, this.keyPair, 200);
    while ((await this.client.post(trigger)).kind !== 'scaled');
  }

  answer(status: number, body: string): Promise<TriggerResult> {
    this.handle = (_request, response) => sendJson(response, status, body);
    return this.client.post(trigger);
  }
}

/** For all tests of a file. After each of them no timer may be left. */
export function clientScene(): ClientScene {
  const scene = new ClientScene();
  beforeAll(() => scene.startEngine());
  afterAll(() => scene.engine.close());
  beforeEach(() => scene.begin());
  afterEach(async () => {
    await scene.client.close();
    expect(scene.clock.pendingTimers).toBe(0);
  });
  return scene;
}
