import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { silentLogger } from '../support/silent-logger.js';
import type { PolicyChanges } from '../../src/policy/policy-changes.js';
import { PolicyPoller } from '../../src/policy/policy-poller.js';
import { PolicyTable } from '../support/policy-table.js';
import { away, intervalMs, PollerScene, usable } from './poller-scene.js';

let scene: PollerScene;
beforeEach(() => void (scene = new PollerScene()));
afterEach(() => scene.stop());

describe('reading', () => {
  test('at once, then an interval after each read', async () => {
    scene.poller.start();
    scene.poller.start();
    await scene.clock.advance(2 * intervalMs);
    expect(scene.polls).toEqual([0, 40_000, 80_000]);
    expect(scene.log).toEqual([]);
  });

  test('tells what was added, changed and removed, and reads nothing of what did not change', async () => {
    const seen: PolicyChanges[] = [];
    scene.poller.onChange((changes) => void seen.push(changes));
    await scene.poll(usable('a', '1'), usable('b', '1'));
    const first = scene.poller.policyOf('b');
    await scene.poll(usable('b', '1'), usable('a', '1'));
    expect(scene.poller.policyOf('b')).toBe(first);
    await scene.poll(usable('b', '2'), usable('c', '1'));
    expect(seen).toEqual([
      { cause: 'policies', sinceMs: -Infinity, added: ['a', 'b'], changed: [], removed: [] },
      { cause: 'policies', sinceMs: 2 * intervalMs, added: [], changed: [], removed: ['a'] },
      { cause: 'policies', sinceMs: 2 * intervalMs, added: ['c'], changed: ['b'], removed: [] },
    ]);
    expect(scene.reads.filter((appIds) => appIds.length > 0)).toEqual([
      ['a', 'b'],
      ['b', 'c'],
    ]);
    expect(await scene.gauge('policies')).toEqual([2]);
  });

  test('never twice at once', async () => {
    let finish = () => {};
    scene.table.onRead = () => new Promise((resolve) => (finish = resolve));
    scene.table.have(usable('a', '1'));
    scene.poller.start();
    await scene.clock.advance(3 * intervalMs);
    expect(scene.polls).toHaveLength(1);
    finish();
    await scene.clock.advance(0);
    expect(scene.inForce()).toEqual(['a']);
    expect(scene.polls).toHaveLength(1);
  });

  test('keeps nothing of policies that were replaced, however often', async () => {
    setFlagsFromString('--expose-gc');
    const collectGarbage = runInNewContext('gc') as () => void;
    const used = async () => {
      await new Promise((resolve) => setImmediate(resolve));
      collectGarbage();
      return process.memoryUsage().heapUsed;
    };
    const policies: WeakRef<object>[] = [];
    scene.poller.onChange(() => void policies.push(new WeakRef(scene.poller.policyOf('app-7')!)));
    let version = 0;
    scene.table.onPoll = () => {
      version++;
      scene.reads = []; // would keep them all
      scene.table.have(...Array.from({ length: 200 }, (_, i) => usable(`app-${i}`, String(version))));
    };
    scene.poller.start();
    await scene.clock.advance(20 * intervalMs);
    const before = await used();
    await scene.clock.advance(500 * intervalMs);
    const after = await used();
    expect(policies.length).toBeGreaterThan(500);
    // A promise or two of the last read may still be on their way.
    expect(policies.filter((policy) => policy.deref()).length).toBeLessThan(4);
    // 500 times 200 policies: some 20 MB if they stayed.
    expect(after - before).toBeLessThan(2_000_000);
  });

  test('an empty table is a legal state', async () => {
    await scene.poll(usable('a', '1'));
    await scene.poll();
    expect(scene.inForce()).toEqual([]);
    expect(await scene.gauge('policies')).toEqual([0]);
  });

  test('a listener that throws stops neither the others nor the loop', async () => {
    const seen: number[] = [];
    scene.poller.onChange(() => {
      throw new Error('oops');
    });
    scene.poller.onChange(() => void seen.push(scene.inForce().length));
    await scene.poll(usable('a', '1'));
    await scene.poll();
    expect(seen).toEqual([1, 0]);
    expect(scene.events()).toContain('listener-failed');
  });
});

describe('a policy that was removed when it was to be read', () => {
  const removed = () => scene.table.have(usable('a', '1'));
  const back = async () => {
    scene.table.onRead = () => {};
    await scene.poll(usable('a', '1'), usable('b', '2'));
  };

  test('comes into force when it is written again', async () => {
    await scene.poll(usable('a', '1'));
    scene.table.onRead = removed;
    await scene.poll(usable('a', '1'), usable('b', '1'));
    await back();
    expect(scene.inForce()).toEqual(['a', 'b']);
  });

  test('also where its app was gained', async () => {
    scene.others.add('b');
    await scene.poll(usable('a', '1'), usable('b', '1'));
    scene.table.onRead = removed;
    scene.others.clear();
    scene.poller.ownershipChanged();
    await scene.clock.advance(0);
    await back();
    expect(scene.inForce()).toEqual(['a', 'b']);
  });

  test('is not looked for once it is missing in the list, too', async () => {
    await scene.poll(usable('a', '1'));
    scene.table.onRead = removed;
    await scene.poll(usable('a', '1'), usable('b', '1'));
    scene.table.onRead = (appIds) => void scene.reads.push([...appIds]);
    scene.reads = [];
    await scene.poll(usable('a', '1'));
    await scene.poll(usable('a', '1'));
    expect(scene.reads).toEqual([]);
  });
});

describe('while policy_db is away', () => {
  test('from the start on, the age counts from the start, so that an alert on it fires', async () => {
    scene.table.onPoll = away;
    scene.poller.start();
    await scene.clock.advance(400_000);
    scene.poller.refresh();
    expect(await scene.gauge('policies_age_seconds')).toEqual([400]);
    scene.table.onPoll = () => {};
    await scene.clock.advance(30_000);
    const [age] = await scene.gauge('policies_age_seconds');
    expect(age).toBeLessThan(30);
  });

  test('waits longer and longer, keeps the last good policies, and logs twice in all', async () => {
    await scene.poll(usable('a', '1'));
    scene.table.onPoll = () => {
      scene.polls.push(scene.clock.monotonic());
      away();
    };
    await scene.clock.advance(intervalMs + 200_000);
    const waits = scene.polls.slice(1).map((atMs, i) => atMs - (scene.polls[i] ?? 0));
    expect(waits.slice(0, 8)).toEqual([40_000, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(scene.inForce()).toEqual(['a']);
    scene.poller.refresh();
    const [age] = await scene.gauge('policies_age_seconds');
    expect(age).toBeGreaterThanOrEqual(235);
    expect(await scene.gauge('policies')).toEqual([1]);

    const failures = scene.polls.length - 1;
    scene.table.onPoll = () => {};
    scene.table.have(usable('a', '2'));
    await scene.clock.advance(30_000);
    expect(scene.poller.policyOf('a')?.version).toBe('2');
    expect(scene.log.filter(([event]) => event !== 'policies-changed')).toEqual([
      ['policies-not-readable', { policiesInForce: 1, message: 'database away' }],
      ['policies-readable-again', { failures }],
    ]);
    expect(await scene.gauge('policy_polls_total')).toEqual([
      ['success', 2],
      ['failure', failures],
    ]);
  });

  describe('after a read that failed half-way', () => {
    const added = Array.from({ length: 2_001 }, (_, i) => usable(`new-${i}`, '1'));
    beforeEach(async () => {
      await scene.poll(usable('a', '1'));
      let statements = 0;
      scene.table.onRead = () => void (++statements === 2 && away());
      await scene.poll(usable('a', '1'), ...added);
      expect(scene.inForce()).toHaveLength(2_001);
    });

    test('policies that were removed meanwhile are in force no more', async () => {
      scene.table.have(usable('a', '1'));
      await scene.clock.advance(30_000);
      expect(scene.inForce()).toEqual(['a']);
    });

    test('the rest is read, and nothing twice', async () => {
      scene.reads = [];
      scene.table.onRead = (appIds) => void scene.reads.push([...appIds]);
      await scene.clock.advance(30_000);
      expect(scene.reads).toEqual([['new-2000']]);
      expect(scene.inForce()).toHaveLength(2_002);
      expect(await scene.gauge('policies')).toEqual([2_002]);
    });
  });

  test('a first read that fails is told and leaves no policy in force', async () => {
    scene.table.onPoll = away;
    scene.poller.start();
    await scene.clock.advance(0);
    expect(scene.log).toEqual([['policies-not-readable', { policiesInForce: 0, message: 'database away' }]]);
    expect(scene.inForce()).toEqual([]);
  });

  test('up to half of a wait is left out at random', async () => {
    const eager = new PolicyPoller({
      store: Object.assign(new PolicyTable(), { onPoll: away }),
      isOurs: () => true,
      clock: scene.clock,
      logger: silentLogger,
      metrics: scene.metrics,
      intervalMs,
      random: () => 1,
    });
    eager.start();
    await scene.clock.timersPending();
    expect(scene.clock.nextTimerInMs).toBe(500);
    eager.stop();
  });

  test('a poll that fails on the way finds the rest the next time', async () => {
    scene.table.onRead = away;
    scene.table.have(usable('a', '1'));
    scene.poller.start();
    await scene.clock.advance(0);
    expect(scene.inForce()).toEqual([]);
    scene.table.onRead = () => {};
    await scene.clock.advance(1_000);
    expect(scene.inForce()).toEqual(['a']);
  });
});

describe('stopping', () => {
  test('ends the wait at once', async () => {
    scene.poller.start();
    await scene.clock.timersPending();
    scene.poller.stop();
    expect(scene.clock.pendingTimers).toBe(0);
    await scene.clock.advance(10 * intervalMs);
    expect(scene.polls).toHaveLength(1);
  });

  test('does not wait for a read, whose answer then comes to nothing', async () => {
    let finish = () => {};
    scene.table.onRead = () => new Promise((resolve) => (finish = resolve));
    scene.table.have(usable('a', '1'));
    scene.poller.start();
    await scene.clock.advance(0);
    scene.poller.stop();
    finish();
    await scene.clock.advance(intervalMs);
    expect([scene.inForce(), scene.log]).toEqual([[], []]);
  });
});
