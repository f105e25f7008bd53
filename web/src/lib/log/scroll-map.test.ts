import { describe, expect, it } from 'vitest';
import { ScrollMap, SPACER_MAX_PX } from './scroll-map';

const ROW = 20;
const VIEW = 700;

function mapOf(lines: number): ScrollMap {
  const map = new ScrollMap();
  map.resize(lines * ROW, VIEW);
  return map;
}

it('is the identity as long as the browser can hold the document', () => {
  const map = mapOf(100_000);
  for (const top of [0, 1, 500, 1_000_000, 1_999_300]) {
    expect(map.scrolled(top)).toBeNull();
    expect(map.real).toBe(top);
    expect(map.offset).toBe(0);
  }
});

describe.each([1_000_000, 10_000_000])('%i lines', (lines) => {
  const realMax = lines * ROW - VIEW;
  const topMax = SPACER_MAX_PX - VIEW;

  it('L3: never makes the spacer higher than browsers allow', () => {
    expect(mapOf(lines).height).toBe(8_000_000);
  });

  it('L3: reaches the first and the last line by dragging', () => {
    const map = mapOf(lines);
    map.scrolled(topMax);
    expect(map.real).toBe(realMax);
    map.scrolled(0);
    expect(map.real).toBe(0);
  });

  it('goes to any line exactly', () => {
    const map = mapOf(lines);
    for (const share of [0, 0.001, 0.3, 0.5, 0.77, 0.9999, 1]) {
      const real = Math.round(realMax * share);
      const top = map.goto(real);
      expect(map.real).toBe(real);
      expect(top).toBeGreaterThanOrEqual(0);
      expect(top).toBeLessThanOrEqual(topMax);
    }
  });

  it('L3: moves 1:1 by wheel in the middle', () => {
    const map = mapOf(lines);
    let top = map.goto(Math.round(realMax / 2));
    const from = map.real;
    for (let tick = 1; tick <= 50; tick++) {
      top += 100;
      map.scrolled(top);
      expect(map.real).toBe(from + tick * 100);
    }
  });

  it.each([-1, 1])('comes to the end by wheel alone without a jump (direction %i)', (direction) => {
    const map = mapOf(lines);
    const end = direction < 0 ? 0 : realMax;
    const begin = direction < 0 ? 1_500_000 : realMax - 1_500_000;
    let top = map.goto(begin);
    for (let tick = 0; tick < 40_000 && map.real !== end; tick++) {
      const before = map.real;
      top = Math.min(topMax, Math.max(0, top + direction * 100));
      top = map.scrolled(top) ?? top;
      expect(Math.abs(map.real - before)).toBeLessThanOrEqual(100);
      if (tick % 20 === 19) top = map.settle() ?? top;
    }
    expect(map.real).toBe(end);
    expect(top).toBe(direction < 0 ? 0 : topMax);
  });

  it('L7: does not move under a reader while the log grows', () => {
    const map = mapOf(lines);
    map.goto(Math.round(realMax / 3));
    const before = map.real;
    for (let more = 1; more < 50; more++) {
      map.resize((lines + more * 1000) * ROW, VIEW);
      expect(map.real).toBe(before);
    }
  });
});

it('keeps its place when the document outgrows the browser', () => {
  const map = mapOf(399_000);
  map.scrolled(5_000_000);
  for (let lines = 399_000; lines < 420_000; lines += 500) {
    map.resize(lines * ROW, VIEW);
    expect(map.real).toBe(5_000_000);
  }
});
