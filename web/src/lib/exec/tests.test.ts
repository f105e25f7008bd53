import { describe, expect, it } from 'vitest';
import type { TestPast } from '$lib/api/types';
import { asked, heightOf, inView, PIECE, pieces, ROW_PX, SHOWN, shownLines, strip, topOf, verdict } from './tests';

describe('tests as rows', () => {
  it('stand below one another, and below what is open', () => {
    expect(topOf(3, null)).toBe(3 * ROW_PX);
    expect(topOf(1, { at: 1, px: 50 })).toBe(ROW_PX);
    expect(topOf(2, { at: 1, px: 50 })).toBe(2 * ROW_PX + 50);
    expect(heightOf(50_000, null)).toBe(50_000 * ROW_PX);
    expect(heightOf(2, { at: 1, px: 50 })).toBe(2 * ROW_PX + 50);
    expect(heightOf(2, { at: 7, px: 50 })).toBe(2 * ROW_PX);
  });

  it('are all mounted that can be seen, whatever is open', () => {
    const wrong: string[] = [];
    for (const open of [null, { at: 0, px: 300 }, { at: 10, px: 7 }, { at: 90, px: 300 }]) {
      for (let from = 0; from < 5_000; from += 37) {
        const to = from + 900;
        const [first, end] = inView(100, open, from, to, 0);
        for (let at = 0; at < 100; at += 1) {
          const top = topOf(at, open);
          const bottom = top + ROW_PX + (at === open?.at ? open.px : 0);
          const mounted = at >= first && at < end;
          if (top < to && bottom > from && !mounted) wrong.push(`${at} at ${from}, open ${open?.at}`);
        }
        if (end - first > 24) wrong.push(`${end - first} rows at ${from}, open ${open?.at}`);
      }
    }
    expect(wrong).toEqual([]);
    expect(inView(0, null, 0, 900)).toEqual([0, 0]);
  });

  it('are loaded in pieces', () => {
    expect(pieces([0, 0])).toEqual([]);
    expect(pieces([0, PIECE])).toEqual([0]);
    expect(pieces([PIECE - 1, PIECE + 1])).toEqual([0, 1]);
    expect(pieces([3 * PIECE, 3 * PIECE + 1])).toEqual([3]);
  });
});

it('texts of several lines stay that, without what moves a cursor', () => {
  expect(shownLines('a\r\n\tb\u001b[2J')).toMatch(/^a\n    b[^\u001b]*$/);
});

it('every choice asks for something else', () => {
  expect(new Set(SHOWN.map((one) => JSON.stringify(asked(one)))).size).toBe(SHOWN.length);
});

it('every status is a pass, a failure, or says nothing', () => {
  const words = { passed: ['passed', 'xpassed'], failed: ['failed', 'error', 'unknown'], skipped: ['skipped', 'todo', 'xfailed'] };
  for (const [expected, statuses] of Object.entries(words)) {
    for (const status of statuses) expect(verdict(status)).toBe(expected);
  }
});

it('a history is read from the left, and counts what was judged', () => {
  const one = (id: string, said: string): TestPast => ({
    execution_id: id,
    created_at: '2026-01-01T00:00:00.000000Z',
    verdict: said,
    flaky: false,
    duration_ms: null,
  });
  const { runs, failed, judged } = strip([one('c', 'failed'), one('b', 'skipped'), one('a', 'passed')]);
  expect(runs.map((run) => run.execution_id)).toEqual(['a', 'b', 'c']);
  expect([failed, judged]).toEqual([1, 2]);
});
