import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { engineOutcome, responseTo, type EngineView } from '../../src/scaling-engine/engine-model.js';
import { readResponse } from '../../src/scaling-engine/response.js';
import type { SimulatedApp } from '../platform/app-model.js';
import { ScalingEngine } from '../platform/scaling-engine.js';
import { outcomeAnswer } from '../platform/scaling-engine-server.js';

const atMs = 1_764_000_000_000;

function view(instances: number, known: Partial<EngineView> = {}): EngineView {
  return { instances, limits: { minInstances: 1, maxInstances: 5 }, coolDownUntilMs: null, ...known };
}

function outcome(instances: number, adjustment: string, known?: Partial<EngineView>, coolDownSecs = 60) {
  return engineOutcome(view(instances, known), { adjustment, coolDownSecs }, atMs);
}

describe('the number of instances', () => {
  test.each([
    [2, '+1', 3],
    [2, '1', 3],
    [4, '-2', 2],
    [4, '+9', 5],
    [4, '-9', 1],
    [2, '+50%', 3],
    [3, '+50%', 5],
    [3, '-50%', 2],
    [3, '+12.5%', 4],
    [2, '-10%', 1],
    [9, '+1', 5],
  ])('of %i adjusted by %s is %i', (from, adjustment, to) => {
    expect(outcome(from, adjustment)).toEqual({
      kind: 'scaled',
      from,
      to,
      coolDownUntilMs: atMs + 60_000,
    });
  });

  test('is not limited where the policy has no limits', () => {
    const limits = { minInstances: null, maxInstances: null };
    expect(outcome(500, '+500', { limits })).toMatchObject({ to: 1_000 });
    expect(outcome(1, '-1', { limits })).toMatchObject({ to: 0 });
  });

  test.each([
    [5, '+1', 'max'],
    [1, '-1', 'min'],
    [3, '+0', null],
  ])('of %i stays with %s, because of %s', (instances, adjustment, limit) => {
    expect(outcome(instances, adjustment)).toEqual({ kind: 'ignored', instances, limit });
  });

  test.each(['', 'more', '+1.5', '1e1', '%', '++1', '+12345678901'])('with %j is an error', (adjustment) => {
    expect(outcome(2, adjustment)).toEqual({ kind: 'bad-adjustment' });
  });
});

describe('the cool-down', () => {
  test('is 300 s where the rule has none', () => {
    expect(outcome(2, '+1', {}, 0)).toMatchObject({ coolDownUntilMs: atMs + 300_000 });
  });

  test('counts before anything else, and is over at its end', () => {
    expect(outcome(2, 'more', { coolDownUntilMs: atMs + 1 })).toEqual({
      kind: 'cooling-down',
      coolDownUntilMs: atMs + 1,
    });
    expect(outcome(2, '+1', { coolDownUntilMs: atMs })).toMatchObject({ kind: 'scaled' });
  });
});

const arbitraryTrigger = fc.record({
  instances: fc.nat(30),
  minInstances: fc.integer({ min: 1, max: 10 }),
  moreInstances: fc.nat(20),
  adjustment: fc.oneof(
    fc
      .tuple(fc.integer({ min: -9, max: 9 }), fc.constantFrom('', '%', '0%'))
      .map(([n, unit]) => `${n}${unit}`),
    fc.constantFrom('', 'more', '%', '+-1', '1 '),
  ),
  coolDownSecs: fc.nat(3_600),
  coolDownAheadMs: fc.integer({ min: -5, max: 5 }),
});

test('and all else is what the scaling engine of the platform does, and responds', () => {
  fc.assert(
    fc.property(arbitraryTrigger, (example) => {
      const { instances, minInstances, adjustment, coolDownSecs, coolDownAheadMs } = example;
      const maxInstances = minInstances + example.moreInstances;
      const app = {
        state: 'STARTED',
        instances: 1,
        minInstances: 0,
        maxInstances: 99,
        scaleTo: () => {},
      } as Partial<SimulatedApp> as SimulatedApp;
      let now = atMs + coolDownAheadMs - 60_000;
      const engine = new ScalingEngine({ get: () => app }, { now: () => now }, 300);
      engine.scale('app', { adjustment: '+1', cool_down_secs: 60n });
      now = atMs;
      Object.assign(app, { instances, minInstances, maxInstances });

      const trigger = { adjustment, cool_down_secs: BigInt(coolDownSecs) };
      const { status, body } = outcomeAnswer('app', engine.scale('app', trigger));
      const modelled = engineOutcome(
        {
          limits: { minInstances, maxInstances },
          instances,
          coolDownUntilMs: atMs + coolDownAheadMs,
        },
        { adjustment, coolDownSecs },
        atMs,
      );
      const response = readResponse(Number(status), String(body), 'engine');
      const { coolDownUntilMs, ...said } = { coolDownUntilMs: null, ...response };
      const { coolDownUntilMs: expected, ...answered } = { coolDownUntilMs: null, ...responseTo(modelled) };
      // The platform's cool-downs end a fraction of a millisecond later.
      expect(coolDownUntilMs).toBe(expected === null ? null : expected + 1);
      expect({ ...said, message: '' }).toEqual({ ...answered, message: '' });
    }),
  );
});
