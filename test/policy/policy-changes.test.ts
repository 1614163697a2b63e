import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { PolicyChanges } from '../../src/policy/policy-changes.js';
import { away, broken, intervalMs, PollerScene, usable } from './poller-scene.js';

let scene: PollerScene;
beforeEach(() => void (scene = new PollerScene()));
afterEach(() => scene.stop());

describe('of apps that are another member’s', () => {
  beforeEach(() => void (scene.others = new Set(['theirs', 'taken'])));

  test('nothing is read, and nothing kept; they count among all', async () => {
    await scene.poll(usable('a', '1'), usable('theirs', '1'), broken('taken', '1'));
    await scene.poll(usable('a', '1'), usable('theirs', '2'), broken('taken', '1'));
    expect(scene.reads.flat()).toEqual(['a']);
    expect([...scene.poller.appIds()]).toEqual(['a']);
    expect(scene.log).toEqual([['policies-changed', { policies: 3, added: 1, changed: 0, removed: 0 }]]);
    expect([
      await scene.gauge('policies'),
      await scene.gauge('policies_owned'),
      await scene.gauge('policies_broken'),
    ]).toEqual([[3], [1], [0]]);
  });

  test('those gained are read at once, and told when all were', async () => {
    await scene.poll(usable('a', '1'), usable('theirs', '1'), usable('taken', '1'));
    const seen: PolicyChanges[] = [];
    scene.poller.onChange((changes) => void seen.push(changes));
    scene.others = new Set(['theirs']);
    scene.poller.ownershipChanged();
    await scene.clock.advance(0);
    expect(scene.polls).toHaveLength(1);
    expect(seen).toEqual([
      { cause: 'members', sinceMs: -Infinity, added: ['taken'], changed: [], removed: [] },
      { cause: 'members', sinceMs: -Infinity, added: [], changed: [], removed: [], isGained: true },
    ]);
    expect(await scene.gauge('policies_owned')).toEqual([2]);
  });

  test('cycles of those found by the first read are due since they are ours, of later ones since that read', async () => {
    const since: (readonly [string, number])[] = [];
    scene.poller.onChange(
      ({ added, sinceMs }) => void since.push(...added.map((appId) => [appId, sinceMs] as const)),
    );
    await scene.poll(usable('a', '1'), usable('taken', '1'));
    scene.table.have(usable('a', '1'), usable('taken', '1'), usable('new', '1'));
    await scene.clock.advance(intervalMs);
    scene.others.clear();
    scene.poller.ownershipChanged();
    await scene.clock.advance(0);
    expect(since).toEqual([
      ['a', -Infinity],
      ['new', intervalMs],
      ['taken', -Infinity],
    ]);
  });

  test('those gained while policy_db is away are read when it is back', async () => {
    await scene.poll(usable('a', '1'), usable('taken', '1'));
    scene.table.onRead = away;
    scene.others.clear();
    scene.poller.ownershipChanged();
    await scene.clock.advance(5_000);
    expect(scene.inForce()).toEqual(['a']);
    scene.table.onRead = () => {};
    await scene.clock.advance(30_000);
    expect(scene.inForce()).toEqual(['a', 'taken']);
    expect(scene.events().slice(1)).toEqual(['policies-not-readable', 'policies-readable-again']);
  });

  test('those gained during a poll are read right after it', async () => {
    let finish = () => {};
    scene.table.have(usable('a', '1'), usable('taken', '1'));
    scene.table.onRead = () => new Promise((resolve) => (finish = resolve));
    scene.poller.start();
    await scene.clock.advance(0);
    scene.others.clear();
    scene.poller.ownershipChanged();
    scene.table.onRead = () => {};
    finish();
    await scene.clock.advance(0);
    expect(scene.inForce()).toEqual(['a', 'taken']);
  });

  test('those gained before policy_db was read once are no first read', async () => {
    let isFirstRead = false;
    void scene.poller.firstRead.then(() => (isFirstRead = true));
    scene.table.have(usable('a', '1'));
    scene.table.onPoll = away;
    scene.poller.start();
    await scene.clock.advance(100);
    scene.poller.ownershipChanged();
    await scene.clock.advance(100);
    expect(isFirstRead).toBe(false);
    scene.table.onPoll = () => {};
    await scene.clock.advance(1_000);
    expect(isFirstRead).toBe(true);
    expect(scene.inForce()).toEqual(['a']);
  });

  test('those gained hold up no poll, also where they are read while it falls due', async () => {
    await scene.poll(usable('a', '1'), usable('taken', '1'));
    let finish = () => {};
    scene.table.onRead = () => new Promise((resolve) => (finish = resolve));
    await scene.clock.advance(intervalMs - 1_000);
    scene.others.clear();
    scene.poller.ownershipChanged();
    await scene.clock.advance(2_000);
    expect(scene.polls).toEqual([0]);
    scene.table.onRead = () => {};
    finish();
    await scene.clock.advance(0);
    expect(scene.inForce()).toEqual(['a', 'taken']);
    expect(scene.polls).toEqual([0, intervalMs + 1_000]);
    await scene.clock.advance(intervalMs);
    expect(scene.polls).toEqual([0, intervalMs + 1_000, 2 * intervalMs + 1_000]);
  });

  test('those lost are known for an interval more, for the cycles that are under way', async () => {
    await scene.poll(usable('a', '1'), usable('b', '1'));
    scene.others.add('b');
    scene.poller.ownershipChanged();
    await scene.clock.advance(0);
    await scene.clock.advance(intervalMs);
    expect(scene.poller.policyOf('b')).toBeDefined();
    await scene.clock.advance(intervalMs);
    expect([...scene.poller.appIds()]).toEqual(['a']);
  });
});
