import { beforeEach, describe, expect, test } from '@jest/globals';
import { addressesIn } from '../../src/dns/find-addresses.js';
import { type Addresses, NameError, NameLookups } from '../../src/dns/name-lookups.js';
import { ManualClock } from '../support/manual-clock.js';

const host = 'log-cache.example.com';
const oneAddress: Addresses = [{ address: '10.0.0.1', family: 4 }];
const otherAddress: Addresses = [{ address: '10.0.0.2', family: 4 }];

/** Lookups that hang until the test answers them. */
class HangingDns {
  readonly asked: string[] = [];
  readonly #open: {
    resolve: (addresses: Addresses) => void;
    reject: (error: Error) => void;
  }[] = [];

  readonly find = (name: string): Promise<Addresses> => {
    this.asked.push(name);
    return new Promise((resolve, reject) => this.#open.push({ resolve, reject }));
  };

  /** Leaves the longest open lookup open for good. */
  skip(): void {
    this.#open.shift();
  }

  answer(addresses: Addresses): void {
    this.#open.shift()?.resolve(addresses);
  }

  fail(code: string): void {
    this.#open.shift()?.reject(Object.assign(new Error(code), { code }));
  }
}

let clock: ManualClock;
let servers: HangingDns;
let names: NameLookups;

beforeEach(() => {
  clock = new ManualClock();
  servers = new HangingDns();
  names = new NameLookups(servers.find, clock);
});

/** What becomes of a lookup, without waiting for it. */
function watch(lookup: Promise<Addresses>) {
  const seen: { outcome: Addresses | string | undefined } = { outcome: undefined };
  lookup.then(
    (addresses) => (seen.outcome = addresses),
    (error: unknown) => (seen.outcome = (error as Error).message),
  );
  return seen;
}

async function resolved(addresses = oneAddress): Promise<void> {
  const lookup = names.resolve(host);
  servers.answer(addresses);
  await lookup;
}

test('an address needs no lookup', async () => {
  expect(await names.resolve('10.0.0.9')).toEqual([{ address: '10.0.0.9', family: 4 }]);
  expect(await names.resolve('::1')).toEqual([{ address: '::1', family: 6 }]);
  expect(servers.asked).toEqual([]);
});

test('all who ask for a name at the same time share one lookup, and later ones have a new one', async () => {
  const lookups = [names.resolve(host), names.resolve(host), names.resolve(host)];
  servers.answer(oneAddress);
  expect(await Promise.all(lookups)).toEqual([oneAddress, oneAddress, oneAddress]);
  expect(servers.asked).toEqual([host]);
  await resolved(otherAddress);
  expect(servers.asked).toEqual([host, host]);
});

test('nobody starts a second lookup beside one that hangs, however often it is asked for', async () => {
  for (let times = 0; times < 100; times++) {
    names.resolve(host).catch(() => {});
    await clock.advance(1_000);
  }
  expect(servers.asked).toEqual([host]);
});

test('a name that DNS does not answer is told after two seconds, and what comes later serves the next one', async () => {
  const seen = watch(names.resolve(host));
  expect(names.isPending(host)).toBe(true);
  await clock.advance(1_999);
  expect(seen.outcome).toBeUndefined();
  await clock.advance(1);
  expect(seen.outcome).toBe(`the name ${host} was not resolved: DNS did not answer within 2000 ms`);
  expect(names.isPending(host)).toBe(false);
  expect(clock.pendingTimers).toBe(0);

  const next = names.resolve(host);
  servers.answer(oneAddress);
  expect(await next).toEqual(oneAddress);
  expect(servers.asked).toEqual([host]);
});

test('a name that hangs keeps no other from being resolved', async () => {
  const hanging = watch(names.resolve('silent.example.com'));
  const other = names.resolve(host);
  servers.skip();
  servers.answer(oneAddress);
  expect(await other).toEqual(oneAddress);
  expect(hanging.outcome).toBeUndefined();
});

describe('the last good addresses', () => {
  beforeEach(() => resolved());

  test('serve when DNS does not answer, at once where the lookup before still hangs', async () => {
    const first = watch(names.resolve(host));
    await clock.advance(499);
    expect(first.outcome).toBeUndefined();
    await clock.advance(1);
    expect(first.outcome).toEqual(oneAddress);
    expect(await names.resolve(host)).toEqual(oneAddress);
  });

  test('serve when DNS fails', async () => {
    const lookup = names.resolve(host);
    servers.fail('EAI_AGAIN');
    expect(await lookup).toEqual(oneAddress);
  });

  test('do not serve when DNS says that there is no such name', async () => {
    const lookup = names.resolve(host);
    servers.fail('ENOTFOUND');
    await expect(lookup).rejects.toThrow(
      new NameError(host, 'ENOTFOUND', 'DNS knows no address for it (ENOTFOUND)'),
    );
  });

  test('do not serve after an hour', async () => {
    await clock.advance(3_600_000);
    const lookup = names.resolve(host);
    servers.fail('EAI_AGAIN');
    await expect(lookup).rejects.toThrow('DNS failed (EAI_AGAIN)');
  });

  test('are kept for 64 names at most', async () => {
    for (let number = 0; number < 64; number++) {
      const lookup = names.resolve(`${number}.example.com`);
      servers.answer(otherAddress);
      await lookup;
    }
    const lookup = names.resolve(host);
    servers.fail('EAI_AGAIN');
    await expect(lookup).rejects.toThrow(NameError);
  });
});

test('a failure is told at once to all who wait, and leaves no timer', async () => {
  const lookups = [watch(names.resolve(host)), watch(names.resolve(host))];
  servers.fail('ESERVFAIL');
  await clock.advance(0);
  const message = `the name ${host} was not resolved: DNS failed (ESERVFAIL)`;
  expect(lookups.map(({ outcome }) => outcome)).toEqual([message, message]);
  expect(clock.pendingTimers).toBe(0);
});

test('a hosts file names addresses of both families', () => {
  const text =
    '# comment\n127.0.0.1 localhost Log-Cache\n::1\tlocalhost ip6 # log-cache\nnonsense localhost\n';
  expect(addressesIn(text, 'LOCALHOST')).toEqual([
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]);
  expect(addressesIn(text, 'log-cache')).toEqual([{ address: '127.0.0.1', family: 4 }]);
  expect(addressesIn(text, 'elsewhere')).toEqual([]);
});
