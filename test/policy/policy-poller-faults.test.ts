import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { StoredPolicy } from '../../src/policy/policy-store.js';
import { away, broken, intervalMs, PollerScene, usable } from './poller-scene.js';

/** Two in one bucket, one in another. */
const app = fc.constantFrom('a', 'aa', 'b');
const what = fc.constantFrom('write', 'write', 'remove', 'remove', 'break', 'move', 'fail');
const event = fc.record({ what, app });
/** What happens at one moment: before a read, or in the pause after a poll. */
const moments = fc.array(fc.array(event, { maxLength: 2 }), { minLength: 4, maxLength: 12 });

test('whatever comes, goes, moves or fails between any two reads, the policies of own apps are in force in the end', async () => {
  await fc.assert(
    fc.asyncProperty(moments, async (plan) => {
      const left = [...plan];
      const scene = new PollerScene();
      const rows = new Map<string, StoredPolicy>();
      let version = 0;
      const nextMoment = () => {
        for (const { what, app: appId } of left.shift() ?? []) {
          if (what === 'fail') away();
          else if (what === 'move') {
            if (!scene.others.delete(appId)) scene.others.add(appId);
            scene.poller.ownershipChanged();
          } else if (what === 'remove') rows.delete(appId);
          else rows.set(...(what === 'write' ? usable : broken)(appId, String(++version)));
          scene.table.have(...rows);
        }
      };
      scene.table.onPoll = nextMoment;
      scene.table.onRead = nextMoment;
      scene.poller.start();
      while (left.length > 0) {
        await scene.clock.advance(intervalMs / 2);
        try {
          nextMoment();
        } catch {
          // Nobody was reading.
        }
      }
      await scene.clock.advance(4 * intervalMs);
      const expected = [...rows].filter(([appId, { kind }]) => kind === 'usable' && !scene.others.has(appId));
      expect(
        scene
          .inForce()
          .map((appId) => [appId, scene.poller.policyOf(appId)?.version])
          .sort(),
      ).toEqual(expected.map(([appId, stored]) => [appId, stored.version]).sort());
      scene.stop();
    }),
    { numRuns: 2_000 },
  );
});
