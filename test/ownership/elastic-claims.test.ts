import { beforeEach, expect, test } from '@jest/globals';
import { ElasticClaims } from '../../src/ownership/elastic-claims.js';
import { claimIdOf, createLeaseIds } from '../../src/ownership/lease-id.js';
import type {
  ClaimOutcome,
  ClaimRequest,
  ClaimCompletion,
  TriggerStore,
} from '../../src/ownership/trigger-store.js';
import { silentLogger } from '../support/silent-logger.js';
import { createMetrics, type Metrics } from '../../src/observability/metrics.js';
import { ManualClock } from '../support/manual-clock.js';
import { counted } from '../support/counted.js';

const noBlocks = { coolDownMs: 0, ignoredOutMs: 0, ignoredInMs: 0 };
const granted: ClaimOutcome = { granted: true };

let clock: ManualClock;
let metrics: Metrics;
let claims: ElasticClaims;
let requests: ClaimRequest[];
let completions: ClaimCompletion[];
let prunes: number;
let answer: () => Promise<ClaimOutcome>;
const member = { leaseId: createLeaseIds().next(), holds: true, confirmed: true, owns: true };

beforeEach(() => {
  clock = new ManualClock();
  metrics = createMetrics();
  requests = [];
  completions = [];
  prunes = 0;
  answer = () => Promise.resolve(granted);
  Object.assign(member, { holds: true, confirmed: true, owns: true });
  const store: TriggerStore = {
    claim: (request) => {
      requests.push(request);
      return answer();
    },
    complete: async (completion) => {
      completions.push(completion);
      if (!member.holds) throw new Error('away');
    },
    readBlocks: () =>
      Promise.resolve(new Map([['app', { ...noBlocks, coolDownMs: 5000, ignoredInMs: 7000 }]])),
    prune: () => {
      prunes++;
      return Promise.reject<void>(new Error('away'));
    },
  };
  claims = new ElasticClaims({
    clock,
    store,
    ownership: {
      leaseId: member.leaseId,
      mayPost: () => member.holds,
      confirmLease: () => Promise.resolve(member.confirmed),
      owns: () => member.owns,
    },
    intervalMs: 40_000,
    logger: silentLogger,
    metrics,
  });
});

test('a claim that is granted may be posted', async () => {
  expect(await claims.claim('app', 'out')).toEqual({ granted: true });
  expect(requests).toEqual([
    { appId: 'app', direction: 'out', claimId: claimIdOf(member.leaseId, 0), intervalMs: 40_000 },
  ]);
  expect(await counts()).toEqual({ won: 1 });
});

test.each([
  [{ blocks: { ...noBlocks, coolDownMs: 9000, ignoredOutMs: 1 }, postedMs: 1 }, 'cooling-down', 9000],
  [{ blocks: { ...noBlocks, ignoredOutMs: 8000 }, postedMs: 3000 }, 'posted-elsewhere', 3000],
  [{ blocks: { ...noBlocks, ignoredOutMs: 8000 }, postedMs: -1 }, 'at-limit-backoff', 8000],
  [{ blocks: { ...noBlocks, ignoredInMs: 8000 }, postedMs: -1 }, 'posted-elsewhere', 40_000],
] as const)('a refusal says why and until when (%#)', async (outcome, reason, forMs) => {
  answer = () => Promise.resolve({ granted: false, ...outcome });
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason, untilMs: clock.now() + forMs });
  expect(await counts()).toEqual({ lost: 1 });
});

test('without a lease nothing is even asked', async () => {
  member.holds = false;
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  expect(requests).toEqual([]);
});

test('a claim whose lease ran out while it was decided is not used, and is not in the way later', async () => {
  answer = () => {
    member.holds = false;
    return Promise.resolve(granted);
  };
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  await clock.advance(3000);
  member.holds = true;
  answer = () => Promise.resolve(granted);
  await claims.claim('app', 'out');
  await claims.claim('app', 'out');
  const [first, second, third] = requests.map((request) => request.claimId);
  expect(second).toBe(first);
  expect(third).not.toBe(first);
});

test('a frozen member does not act on a claim that was granted long ago', async () => {
  answer = async () => {
    await clock.advance(30_000);
    return granted;
  };
  member.confirmed = false;
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  expect(await counts()).toEqual({ undecided: 1 });
});

test('while the database does not answer, nothing is posted', async () => {
  answer = () => Promise.reject(new Error('no answer'));
  member.confirmed = false;
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  expect(requests).toHaveLength(1);
  expect(await counts()).toEqual({ undecided: 1 });
});

test('a claim that went wrong is asked for again, under the same id, once the lease is confirmed', async () => {
  const answers = [Promise.reject(new Error('connection reset')), Promise.resolve(granted)];
  answer = () => answers.shift() ?? Promise.resolve(granted);
  expect(await claims.claim('app', 'out')).toEqual({ granted: true });
  expect(requests[1]).toEqual(requests[0]);
  expect(await counts()).toEqual({ won: 1 });
});

test('an app that has another owner by now is left to it', async () => {
  answer = () => Promise.reject(new Error('connection reset'));
  member.owns = false;
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  expect(requests).toHaveLength(1);
});

test('silence is no permission, also while the lease is renewed', async () => {
  answer = () => Promise.reject(new Error('no answer'));
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
  expect(requests).toHaveLength(2);
  expect(await counts()).toEqual({ undecided: 1 });
});

test('where the database renews leases but cannot make claims, the owner posts without, and it is counted', async () => {
  const error = Object.assign(new Error('permission denied for table eventgenerator_trigger'), {
    code: '42501',
  });
  answer = () => Promise.reject(error);
  expect(await claims.claim('app', 'out')).toEqual({ granted: true });
  expect(await counts()).toEqual({ skipped: 1 });
  member.confirmed = false;
  expect(await claims.claim('app', 'out')).toEqual({ granted: false, reason: 'lease-lost' });
});

test('two claims of one process for one app cannot both be granted', async () => {
  const [first, second] = await Promise.all([claims.claim('app', 'out'), claims.claim('app', 'out')]);
  expect(first).toEqual({ granted: true });
  expect(second).toEqual({ granted: false, reason: 'posted-elsewhere' });
});

test('the answer of the scaling engine is told to the others, own times as what remains of them', async () => {
  const coolDownUntilMs = clock.now() + 300_000;
  await claims.complete('app', 'out', { coolDownUntilMs, ignoredUntilMs: null });
  await claims.complete('app', 'in', { coolDownUntilMs: null, ignoredUntilMs: clock.now() + 600_000 });
  expect(completions).toEqual([
    {
      appId: 'app',
      claimId: expect.any(String),
      direction: 'out',
      coolDownUntilMs,
      ignoredForMs: null,
      isLate: false,
    },
    {
      appId: 'app',
      claimId: expect.any(String),
      direction: 'in',
      coolDownUntilMs: null,
      ignoredForMs: 600_000,
      isLate: false,
    },
  ]);
});

test('a new owner reads what the last one knew', async () => {
  expect(await claims.readCoolDowns(['app', 'other'])).toEqual(
    new Map([
      [
        'app',
        {
          coolDownUntilMs: clock.now() + 5000,
          ignoredOutUntilMs: null,
          ignoredInUntilMs: clock.now() + 7000,
        },
      ],
    ]),
  );
});

test('old rows are removed once an hour by whoever claims', async () => {
  await claims.claim('app', 'out');
  await claims.claim('app', 'out');
  expect(prunes).toBe(1);
  await clock.advance(3_600_000);
  await claims.claim('app', 'out');
  expect(prunes).toBe(2);
});

const counts = () => counted(metrics.claims);
