import { describe, expect, it } from 'vitest';
import { csv, linePath, nearest, niceTop } from './scale';

describe('U6 U7: charts', () => {
  it('spans time and leaves gaps where nothing is known', () => {
    const { line, points } = linePath([0, 10, 20, 40], [0, 5, null, 10], 100, 52);
    expect(points).toEqual([{ x: 0, y: 51 }, { x: 25, y: 26 }, null, { x: 100, y: 1 }]);
    expect(line).toBe('M0 51L25 26M100 1h0.01');
    expect(linePath([7], [3], 100, 52).line).toBe('M0 1L100 1');
    expect(linePath([], [], 100, 52).line).toBe('');
  });
  it('finds the point under the pointer', () => {
    expect(nearest([0, 10, 100], 0.2)).toBe(1);
    expect(nearest([0, 10, 100], 0.9)).toBe(2);
    expect(nearest([], 0.5)).toBeNull();
  });
  it('ends axes at round numbers', () => {
    expect([0, 1, 1.2, 3, 7, 24, 99, 101].map(niceTop)).toEqual([1, 1, 2, 5, 10, 25, 100, 200]);
  });
  it('writes CSV that a spreadsheet does not run', () => {
    expect(csv([['a', 'b"c', '=1+1', 'x,y', null, 1.5]])).toBe('a,"b""c",\'=1+1,"x,y",,1.5\r\n');
  });
});
