import { leaseMs } from '../../../src/ownership/timing.js';
import type { Figure } from '../benchmark.js';
import { breachSecs } from './breaches.js';
import type { Member } from './fleet.js';
import {
  commonFigures,
  figure,
  latestTrigger,
  latestTriggerSecs,
  observe,
  pause,
  settle,
} from './observe.js';
import { movedShare, type Cycle } from './cycles-book.js';
import { intervalMs, type Stage } from './stage.js';

/** Something that happens to the fleet. Events follow each other in the order of `events`: each needs the one before. */
export interface ElasticEvent {
  readonly name: string;
  /** Whether it is also played with few apps and little time. */
  readonly isQuick: boolean;
  play(stage: Stage): Promise<Figure[]>;
}

/** What moves beyond the fair share, because hashing is not perfectly even. */
const tolerance = 0.03;
/** A lease, as members count it at most, and the rest of a member's life without one. */
const leaseSecs = leaseMs / 1000;
const outageSecs = 30;
/** How long after the database's return what was in breach all along may take to fire. */
const firesAgainSecs = 15;

/** Three members and nothing else, until the rules of the apps that came into breach are 90 % through. */
const steady: ElasticEvent = {
  name: 'steady',
  isQuick: true,
  async play(stage) {
    const { fleet, breaches } = stage;
    // Only the second of the three can be cut off.
    await Promise.all([fleet.start(), fleet.start({ ownNetwork: true }), fleet.start()]);
    breaches.start();
    await settle(stage);
    breaches.begin(Math.ceil(stage.apps / 50));
    return commonFigures(stage, await observe(stage, () => pause(0.9 * breachSecs * 1000)), {
      movedShare: 0,
    });
  },
};

const kill: ElasticEvent = {
  name: 'kill',
  isQuick: true,
  async play(stage) {
    const { fleet, cycles, triggers, breaches } = stage;
    const victim = member(stage, 0);
    const others = fleet.living.length - 1;
    await stage.read();
    const owners = cycles.ownersAt(Date.now());
    const takenOver = [...breaches.due()]
      .filter(
        ({ app, dueMs }) => owners[app] === victim.number && !triggers.firstOf(app) && dueMs > Date.now(),
      )
      .filter(({ dueMs }) => dueMs < Date.now() + 0.2 * breachSecs * 1000)
      .map(({ app }) => app);
    const observation = await observe(stage, async () => fleet.kill(victim));
    return [
      figure('collected_again_s', cycles.collectedByOwnerMs(observation.span) / 1000, {
        atMost: latestTriggerSecs,
      }),
      figure('breaches_taken_over', takenOver.length),
      figure('taken_over_late_s', latestTrigger(stage, observation.span, new Set(takenOver)), {
        atMost: latestTriggerSecs,
      }),
      ...commonFigures(stage, observation, {
        longestGapSecs: null,
        movedShare: 1 / (others + 1) + tolerance,
      }),
    ];
  },
};

const addTwo: ElasticEvent = {
  name: 'add-two',
  isQuick: true,
  async play(stage) {
    const { fleet, cycles } = stage;
    const before = fleet.living.length;
    const observation = await observe(stage, () => Promise.all([fleet.start(), fleet.start()]));
    return [
      figure('collected_again_s', cycles.collectedByOwnerMs(observation.span) / 1000),
      ...commonFigures(stage, observation, { movedShare: 2 / (before + 2) + tolerance }),
    ];
  },
};

const terminate: ElasticEvent = {
  name: 'sigterm',
  isQuick: true,
  async play(stage) {
    const { fleet, cycles } = stage;
    const leaver = member(stage, 1);
    const before = fleet.living.length;
    let stopMs = NaN;
    const observation = await observe(stage, async () => {
      stopMs = await fleet.terminate(leaver);
    });
    return [
      figure('stop_s', stopMs / 1000, { atMost: 8 }),
      figure('collected_again_s', cycles.collectedByOwnerMs(observation.span) / 1000),
      ...commonFigures(stage, observation, { movedShare: 1 / before + tolerance }),
    ];
  },
};

const freeze: ElasticEvent = {
  name: 'sigstop',
  isQuick: false,
  play: (stage) =>
    awayForAWhile(stage, member(stage, 1), {
      leave: (frozen) => stage.fleet.freeze(frozen),
      comeBack: (frozen) => stage.fleet.wake(frozen),
      collectsMeanwhile: false,
    }),
};

const cutOff: ElasticEvent = {
  name: 'cut-off',
  isQuick: false,
  play: (stage) =>
    awayForAWhile(stage, member(stage, 0), {
      leave: ({ network }) => network?.goSilent(),
      comeBack: ({ network }) => network?.resume(),
      collectsMeanwhile: true,
    }),
};

/** One member is frozen or cut off for longer than its lease. */
async function awayForAWhile(
  stage: Stage,
  who: Member,
  how: {
    readonly leave: (member: Member) => void;
    readonly comeBack: (member: Member) => void;
    /** As members do that have lost their lease and cannot know whether others are better off. */
    readonly collectsMeanwhile: boolean;
  },
): Promise<Figure[]> {
  const { cycles, triggers } = stage;
  let backMs = NaN;
  const observation = await observe(stage, async () => {
    how.leave(who);
    await pause(outageSecs * 1000);
    backMs = Date.now();
    how.comeBack(who);
    await pause(2 * intervalMs);
  });
  const { fromMs, toMs } = observation.span;
  const overMs = fromMs + leaseSecs * 1000;
  const rejoinedMs = await stage.joinedAtMs(who);
  const withoutLease = ({ member, atMs }: Cycle) =>
    member === who.number && atMs > overMs && atMs < rejoinedMs;
  const collectedWithoutLease =
    cycles.doneTwice(observation.span, intervalMs / 2) -
    cycles.doneTwice(observation.span, intervalMs / 2, withoutLease);
  return [
    figure('taken_over_s', takenOverMs(stage, { fromMs, toMs: backMs }, who) / 1000, {
      atMost: latestTriggerSecs,
    }),
    figure('rejoined_s', (rejoinedMs - backMs) / 1000, { atMost: 5 }),
    figure('posted_without_lease', triggers.within({ fromMs, toMs }).filter(withoutLease).length, {
      atMost: 0,
    }),
    figure('rounds_twice_without_lease_share', collectedWithoutLease / cycles.count(observation.span)),
    ...commonFigures(stage, observation, {
      movedShare: 0,
      ...(how.collectsMeanwhile ? { uncounted: withoutLease } : { longestGapSecs: null }),
    }),
  ];
}

/** From span.fromMs until another member has collected each app that was this member's. */
function takenOverMs({ cycles }: Stage, span: { fromMs: number; toMs: number }, who: Member): number {
  const owners = cycles.ownersAt(span.fromMs);
  let last = 0;
  let app = 0;
  for (const found of cycles.within(span)) {
    if (owners[app++] !== who.number) continue;
    const by = found.find(({ member: collector }) => collector !== who.number);
    last = Math.max(last, (by?.atMs ?? Infinity) - span.fromMs);
  }
  return last;
}

const restartDatabase: ElasticEvent = {
  name: 'postgres-restart',
  isQuick: true,
  play: (stage) => databaseAway(stage, 0),
};

const databaseAwayLong: ElasticEvent = {
  name: 'postgres-away',
  isQuick: false,
  play: (stage) => databaseAway(stage, 60),
};

async function databaseAway(stage: Stage, secs: number): Promise<Figure[]> {
  const { postgres, breaches, triggers } = stage;
  let awayMs = NaN;
  let backMs = NaN;
  const observation = await observe(stage, async () => {
    awayMs = Date.now();
    await postgres.crash();
    await pause(secs * 1000);
    await postgres.start();
    backMs = Date.now();
    await pause(firesAgainSecs * 1000);
  });
  const due = [...breaches.due()]
    .filter(({ dueMs }) => dueMs > awayMs && dueMs < backMs)
    .filter(({ app }) => !((triggers.firstOf(app)?.atMs ?? Infinity) < awayMs));
  const waiting = [...breaches.permanent(), ...due.map(({ app }) => app)];
  const firedMs = waiting.map((app) => (triggers.firstOf(app, awayMs)?.atMs ?? Infinity) - backMs);
  return [
    figure('away_s', (backMs - awayMs) / 1000),
    figure('breaches_waiting', waiting.length),
    figure('fired_after_return_s', Math.max(...firedMs) / 1000, { atMost: firesAgainSecs }),
    ...commonFigures(stage, observation, { movedShare: 0 }),
  ];
}

const replaceAll: ElasticEvent = {
  name: 'replace-all',
  isQuick: false,
  async play(stage) {
    const { fleet } = stage;
    const observation = await observe(stage, async () => {
      // As a rolling deployment does: the new one is there before the old one goes, and nobody waits for more.
      for (const old of fleet.living) {
        await fleet.start();
        await fleet.terminate(old);
      }
    });
    return commonFigures(stage, observation);
  },
};

const oneToTen: ElasticEvent = {
  name: 'one-to-ten-to-one',
  isQuick: false,
  async play(stage) {
    const { fleet, cycles } = stage;
    const most = 10;
    let overShare = -Infinity;
    const observation = await observe(stage, async () => {
      await Promise.all(fleet.living.slice(1).map((each) => fleet.terminate(each)));
      await settle(stage);
      while (fleet.living.length < most) {
        const before = cycles.ownersAt(Date.now());
        await fleet.start();
        await settle(stage);
        const moved = movedShare(before, cycles.ownersAt(Date.now()));
        overShare = Math.max(overShare, moved - 1 / fleet.living.length);
      }
      await Promise.all(fleet.living.slice(1).map((each) => fleet.terminate(each)));
    });
    return [
      figure('moved_beyond_fair_share_max', overShare, { atMost: tolerance }),
      ...commonFigures(stage, observation),
    ];
  },
};

export const events: readonly ElasticEvent[] = [
  steady,
  kill,
  addTwo,
  terminate,
  freeze,
  restartDatabase,
  cutOff,
  replaceAll,
  databaseAwayLong,
  oneToTen,
];

/** The living member at this place, oldest first. */
function member({ fleet }: Stage, place: number): Member {
  const found = fleet.living[place];
  if (!found) throw new Error(`there is no member at place ${place}`);
  return found;
}
