import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AppMetric } from '../../src/history/app-metric.js';
import { PointMemory } from '../../src/history/point-memory.js';
import { Ring } from '../../src/history/ring.js';

const maxInt64 = 2n ** 63n - 1n;
const minInt64 = -(2n ** 63n);

type Plain = readonly [timestampNs: bigint, value: bigint | null];

function metric(timestampNs: bigint, value: bigint | null, unit = value === null ? '' : '%'): AppMetric {
  return { appId: 'app', metricType: 'cpu', timestampNs, value, unit };
}

function createRing(capacity: number): Ring {
  return new Ring('cpu', capacity, new PointMemory());
}

function contents(ring: Ring): Plain[] {
  return Array.from({ length: ring.size }, (_, age) => [ring.timestampAt(age), ring.valueAt(age)]);
}

describe('points', () => {
  test('are read newest first, with every int64 and no data told apart', () => {
    const ring = createRing(10);
    ring.append(0n, 0n, '%');
    ring.append(1n, null, '');
    ring.append(2n, minInt64, '%');
    ring.append(3n, maxInt64, '%');
    ring.append(maxInt64, null, '');
    expect(contents(ring)).toEqual([
      [maxInt64, null],
      [3n, maxInt64],
      [2n, minInt64],
      [1n, null],
      [0n, 0n],
    ]);
  });

  test('that int64 cannot hold are refused', () => {
    const ring = createRing(10);
    expect(ring.append(-1n, 1n, '%')).toBe(false);
    expect(ring.append(maxInt64 + 1n, 1n, '%')).toBe(false);
    expect(ring.append(1n, maxInt64 + 1n, '%')).toBe(false);
    expect(ring.append(1n, minInt64 - 1n, '%')).toBe(false);
    ring.seed([metric(-1n, 1n), metric(1n, maxInt64 + 1n)]);
    expect(ring.size).toBe(0);
  });

  test('of an age that the ring has not are an error', () => {
    const ring = createRing(2);
    ring.append(1n, 1n, '%');
    expect(() => ring.timestampAt(1)).toThrow('no point of age 1 among 1');
    expect(() => ring.valueAt(-1)).toThrow(RangeError);
  });

  test('from a time that the wall clock went back behind are dropped', () => {
    const ring = createRing(10);
    for (const timestampNs of [100n, 200n, 300n, 400n]) ring.append(timestampNs, timestampNs, '%');
    ring.append(200n, 7n, '%');
    expect(contents(ring)).toEqual([
      [200n, 7n],
      [100n, 100n],
    ]);
  });
});

test('any sequence of appends, seeds and resizes leaves what a plain list would have', () => {
  const point = fc.tuple(fc.bigInt(0n, 60n), fc.option(fc.bigInt(-3n, 3n)));
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ append: point }) },
    { weight: 2, arbitrary: fc.record({ seed: fc.array(point, { maxLength: 30 }) }) },
    { weight: 1, arbitrary: fc.record({ resize: fc.integer({ min: 1, max: 40 }) }) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(step, { maxLength: 80 }), (initial, steps) => {
      let capacity = initial;
      let plain: Plain[] = []; // newest first
      let clock = 0n;
      const ring = createRing(capacity);
      for (const each of steps) {
        if ('append' in each) {
          // Mostly forward, now and then back: that is what a wall clock does.
          clock = each.append[0] > 50n ? clock - each.append[0] : clock + 1n + each.append[0] / 10n;
          if (clock < 0n) clock = 0n;
          const timestampNs = clock;
          plain = [[timestampNs, each.append[1]], ...plain.filter(([at]) => at < timestampNs)];
          ring.append(timestampNs, each.append[1], '%');
        } else if ('seed' in each) {
          const oldest = plain.at(-1)?.[0];
          const older = new Map<bigint, bigint | null>();
          for (const [at, value] of each.seed) {
            if ((oldest === undefined || at < oldest) && !older.has(at)) older.set(at, value);
          }
          plain = [...plain, ...[...older].sort((a, b) => Number(b[0] - a[0]))];
          ring.seed(each.seed.map(([at, value]) => metric(at, value)));
        } else {
          capacity = each.resize;
          ring.resize(capacity);
        }
        plain = plain.slice(0, capacity);
        clock = plain[0]?.[0] ?? clock;
        expect(contents(ring)).toEqual(plain);
        expect(ring.byteLength).toBeLessThanOrEqual(16 * capacity);
      }
    }),
  );
});

describe('memory', () => {
  test('is 16 bytes a point, with room for an eighth more while a ring fills up', () => {
    const ring = createRing(300);
    for (let i = 1; i <= 1000; i++) {
      ring.append(BigInt(i), 1n, '%');
      expect(ring.byteLength).toBeLessThanOrEqual(16 * Math.min(ring.size + Math.max(8, ring.size / 4), 300));
    }
    expect(ring.size).toBe(300);
  });

  test('shrinks with the capacity, and keeps the newest', () => {
    const ring = createRing(300);
    for (let i = 1; i <= 310; i++) ring.append(BigInt(i), 1n, '%');
    ring.resize(3);
    expect(ring.byteLength).toBe(48);
    expect(contents(ring).map(([at]) => at)).toEqual([310n, 309n, 308n]);
  });
});

describe('seeding', () => {
  test('neither doubles nor overtakes what was recorded meanwhile', () => {
    const ring = createRing(10);
    ring.append(50n, 5n, '%');
    ring.append(60n, 6n, '%');
    ring.seed([metric(40n, 4n), metric(50n, 9n), metric(55n, 9n), metric(70n, 9n), metric(30n, 3n)]);
    expect(contents(ring)).toEqual([
      [60n, 6n],
      [50n, 5n],
      [40n, 4n],
      [30n, 3n],
    ]);
  });

  test('takes the newest of the old when there is not room for all', () => {
    const ring = createRing(3);
    ring.append(50n, 5n, '%');
    ring.seed([metric(10n, 1n), metric(40n, 4n), metric(20n, 2n), metric(30n, 3n)]);
    expect(contents(ring).map(([at]) => at)).toEqual([50n, 40n, 30n]);
    ring.seed([metric(5n, 1n)]);
    expect(ring.size).toBe(3);
  });

  test('gives the unit of the newest value where nothing was recorded yet', () => {
    const ring = createRing(10);
    ring.seed([metric(10n, 1n, 'old'), metric(20n, 2n, 'new'), metric(30n, null)]);
    expect(ring.unit).toBe('new');
  });
});

describe('coverage', () => {
  test('begins with the first point recorded here, not with seeded ones', () => {
    const ring = createRing(10);
    expect(ring.coversFrom(0n)).toBe(false);
    ring.seed([metric(10n, 1n)]);
    expect(ring.coversFrom(10n)).toBe(false);
    ring.append(20n, 2n, '%');
    expect(ring.coversFrom(19n)).toBe(false);
    expect(ring.coversFrom(20n)).toBe(true);
  });

  test('moves on when old points make room', () => {
    const ring = createRing(2);
    for (const timestampNs of [10n, 20n, 30n]) ring.append(timestampNs, 1n, '%');
    expect(ring.coversFrom(10n)).toBe(false);
    expect(ring.coversFrom(20n)).toBe(true);
  });

  test('ends at a value of another unit; no data has none', () => {
    const ring = createRing(10);
    ring.append(10n, 1n, 'ms');
    ring.append(20n, null, '');
    expect(ring.coversFrom(10n)).toBe(true);
    ring.append(30n, 1n, 's');
    expect(ring.unit).toBe('s');
    expect(ring.coversFrom(20n)).toBe(false);
    expect(ring.coversFrom(21n)).toBe(true);
  });

  test('lacks what was dropped when the wall clock went back', () => {
    const ring = createRing(10);
    for (const timestampNs of [100n, 200n, 300n]) ring.append(timestampNs, 1n, '%');
    ring.append(150n, 1n, '%');
    expect(ring.coversFrom(150n)).toBe(false);
    ring.append(310n, 1n, '%');
    expect(ring.coversFrom(300n)).toBe(false);
    expect(ring.coversFrom(301n)).toBe(true);
  });
});
