import { expect, test } from '@jest/globals';
import type { Trigger } from '../../src/evaluation/trigger.js';
import { createModelledEngine } from '../../src/scaling-engine/modelled-engine.js';
import { ManualClock } from '../support/manual-clock.js';

const trigger: Trigger = {
  app_id: 'app',
  metric_type: 'cpu',
  metric_unit: '%',
  breach_duration_secs: 120,
  threshold: 80n,
  operator: '>',
  cool_down_secs: 60,
  adjustment: '+1',
};

function start() {
  const clock = new ManualClock();
  const app = { instances: 2, limits: { minInstances: 1, maxInstances: 3 } as const };
  const away: { limits?: Error; instances?: Error; policy?: boolean } = {};
  const engine = createModelledEngine({
    clock,
    limitsOf: async () => {
      if (away.limits) throw away.limits;
      return away.policy ? null : app.limits;
    },
    instancesOf: async () => {
      if (away.instances) throw away.instances;
      return app.instances;
    },
  });
  return { clock, app, away, engine };
}

test('an app is scaled, cools down, and is scaled again', async () => {
  const { clock, engine } = start();
  const coolDownUntilMs = clock.now() + 60_000;
  expect(await engine.post(trigger)).toEqual({ kind: 'scaled', adjustment: 1, coolDownUntilMs });
  await clock.advance(59_999);
  expect(await engine.post(trigger)).toEqual({ kind: 'cooling-down', coolDownUntilMs });
  expect(await engine.post({ ...trigger, app_id: 'other' })).toMatchObject({ kind: 'scaled' });
  await clock.advance(1);
  expect(await engine.post({ ...trigger, adjustment: '+9' })).toMatchObject({
    kind: 'scaled',
    adjustment: 1,
  });
});

test('an app at its limit, one that is stopped and one without policy are left alone, without a cool-down', async () => {
  const { app, away, engine } = start();
  app.instances = 3;
  expect(await engine.post(trigger)).toEqual({ kind: 'ignored' });
  app.instances = 0;
  expect(await engine.post(trigger)).toEqual({ kind: 'ignored' });
  app.instances = 2;
  away.policy = true;
  expect(await engine.post(trigger)).toEqual({ kind: 'ignored' });
  away.policy = false;
  expect(await engine.post(trigger)).toMatchObject({ kind: 'scaled' });
});

test('what it cannot find out is a failure of the engine', async () => {
  const { away, engine } = start();
  away.instances = new Error('timeout: counting instances: no answer');
  expect(await engine.post(trigger)).toEqual({
    kind: 'failed',
    fault: 'unavailable',
    message: 'timeout: counting instances: no answer',
  });
  delete away.instances;
  away.limits = new Error('policy_db is away');
  expect(await engine.post(trigger)).toMatchObject({ kind: 'failed', message: 'policy_db is away' });
});
