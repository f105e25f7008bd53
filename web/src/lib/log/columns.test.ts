import { describe, expect, it } from 'vitest';
import { breaks, columns } from './columns';

describe('L15: columns', () => {
  it('counts wide characters twice and combining marks not at all', () => {
    expect(columns('abc')).toBe(3);
    expect(columns('你好')).toBe(4);
    expect(columns('e\u0301')).toBe(1);
    expect(columns('👍')).toBe(2);
  });
  it('breaks where a character begins in the next row', () => {
    expect(breaks('abcdef', 3)).toEqual([3]);
    expect(breaks('abcdef', 2)).toEqual([2, 4]);
    expect(breaks('abc', 3)).toEqual([]);
    // A wide one hangs over the edge by a column; what follows begins one column further.
    expect(breaks('ab你cd', 3)).toEqual([3]);
    expect(breaks('你好', 2)).toEqual([1]);
    expect(breaks('abe\u0301f', 3)).toEqual([4]);
    expect(breaks('a👍b', 2)).toEqual([3]);
  });
  it('gives as many rows as the width says', () => {
    for (const text of ['x'.repeat(100), '你'.repeat(33), 'a你b'.repeat(20)]) {
      for (let wide = 2; wide < 40; wide++) {
        const last = [...text].pop()!;
        const width = columns(text) - (columns(last) === 2 ? 1 : 0);
        expect(breaks(text, wide).length + 1).toBe(Math.max(1, Math.ceil(width / wide)));
      }
    }
  });
});
