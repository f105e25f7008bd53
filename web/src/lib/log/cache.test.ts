import { expect, it } from 'vitest';
import type { Line } from '$lib/api/types';
import { LineCache, RANGE_LINES, RANGES_MAX, rangeOf } from './cache';

function lines(from: number, to: number): Line[] {
  const made: Line[] = [];
  for (let n = from; n <= to; n++) {
    made.push({
      n,
      t: '',
      stream: 'stdout',
      offset: 0,
      bytes: 0,
      text: `line ${n}`,
      partial: false,
      continued: false,
      lossy: false,
      rest: 0,
      step: null,
    });
  }
  return made;
}

it('puts lines into ranges by their number', () => {
  expect([1, 512, 513, 1024, 1025].map(rangeOf)).toEqual([0, 0, 1, 1, 2]);
  const cache = new LineCache();
  cache.put(lines(510, 515));
  expect(cache.size).toBe(2);
  expect(cache.get(512)?.text).toBe('line 512');
  expect(cache.get(513)?.text).toBe('line 513');
  expect(cache.get(516)).toBeUndefined();
});

it('says what is missing of a range, and no more', () => {
  const cache = new LineCache();
  expect(cache.missing(0, 100)).toEqual({ from: 1, to: 100 });
  cache.put(lines(1, 40));
  expect(cache.missing(0, 100)).toEqual({ from: 41, to: 100 });
  cache.put(lines(90, 100));
  expect(cache.missing(0, 100)).toEqual({ from: 41, to: 89 });
  cache.put(lines(41, 89));
  expect(cache.missing(0, 100)).toBeNull();
  expect(cache.missing(0, 101)).toEqual({ from: 101, to: 101 });
});

it('L4: keeps 64 ranges of 512 lines: those used last', () => {
  expect([RANGE_LINES, RANGES_MAX]).toEqual([512, 64]);
  const cache = new LineCache();
  cache.put(lines(1, 1));
  for (let range = 1; range < 200; range++) {
    cache.touch(1, 1);
    cache.put(lines(range * RANGE_LINES + 1, range * RANGE_LINES + 1));
    expect(cache.size).toBeLessThanOrEqual(RANGES_MAX);
  }
  expect(cache.get(1)).toBeDefined();
  expect(cache.get(RANGE_LINES + 1)).toBeUndefined();
});
