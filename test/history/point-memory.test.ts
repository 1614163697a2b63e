import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { AppMetric } from '../../src/history/app-metric.js';
import { blockSize, PointMemory } from '../../src/history/point-memory.js';
import { Ring } from '../../src/history/ring.js';

function metric(at: number): AppMetric {
  return { appId: 'app', metricType: 'cpu', timestampNs: BigInt(at), value: BigInt(at), unit: '%' };
}

test('blocks have few sizes, and little more than is asked for', () => {
  const sizes = new Set<number>();
  for (let points = 1; points <= 2_000; points++) {
    const size = blockSize(points, 2_000);
    expect(size).toBeGreaterThanOrEqual(points);
    expect(size - points).toBeLessThan(Math.max(8, points / 4));
    sizes.add(size);
  }
  expect(sizes.size).toBeLessThan(50);
  expect(blockSize(57, 60)).toBe(60);
  expect(blockSize(3, 3)).toBe(3);
});

test('rings in one memory never touch each other’s points', () => {
  const step = fc.record({
    ring: fc.nat(5),
    act: fc.constantFrom('append', 'append', 'append', 'resize', 'seed', 'release'),
    size: fc.integer({ min: 1, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
      const memory = new PointMemory();
      const rings = Array.from({ length: 6 }, () => new Ring('cpu', 20, memory));
      const alone = Array.from({ length: 6 }, () => new Ring('cpu', 20, new PointMemory()));
      for (const [at, { ring, act, size }] of steps.entries()) {
        for (const each of [rings[ring], alone[ring]]) {
          if (act === 'append') each?.append(BigInt(1_000 + at), BigInt(at), '%');
          else if (act === 'resize') each?.resize(size);
          else if (act === 'seed') each?.seed(Array.from({ length: size }, (_, i) => metric(i)));
          else each?.release();
        }
      }
      const contents = (ring: Ring) =>
        Array.from({ length: ring.size }, (_, age) => [ring.timestampAt(age), ring.valueAt(age)]);
      expect(rings.map(contents)).toEqual(alone.map(contents));
    }),
  );
});

test('memory shrinks with the rings that use it', () => {
  const memory = new PointMemory();
  const rings = Array.from({ length: 500 }, () => new Ring('cpu', 100, memory));
  for (let at = 0; at < 150; at++) for (const ring of rings) ring.append(BigInt(at), 1n, '%');
  const bytes = rings.reduce((sum, ring) => sum + ring.byteLength, 0);
  expect(memory.slabs * 131_072).toBeLessThan(bytes * 1.1 + 2 * 131_072);
  for (const ring of rings.slice(5)) ring.release();
  expect(memory.slabs).toBeLessThanOrEqual(5);
  for (const ring of rings) ring.release();
  expect(memory.slabs).toBe(0);
});
