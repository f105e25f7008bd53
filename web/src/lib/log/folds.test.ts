import { describe, expect, it } from 'vitest';
import type { LogMeta, Step } from '$lib/api/types';
import { foldedBy, hiddenSpans, lineage, ownerOf, stickyAt, stickyFor } from './folds';

const step = (index: number, parent: number | null, first_line: number, last_line: number | null) =>
  ({ index, parent, first_line, last_line }) as Step;
// 1: a line of none; 0: lines 2-9 with 1 inside (4-6); 2: 10-
const steps = [step(0, null, 2, 9), step(1, 0, 4, 6), step(2, null, 10, null)];
const ranges = [
  { step: null, first_line: 1, last_line: 1 },
  { step: 0, first_line: 2, last_line: 3 },
  { step: 1, first_line: 4, last_line: 6 },
  { step: 0, first_line: 7, last_line: 9 },
  { step: 2, first_line: 10, last_line: null },
];
const hidden = (...folded: number[]) => {
  const all = new Set<number>();
  for (const [from, to] of hiddenSpans(steps, ranges, new Set(folded), 12)) {
    for (let n = from; n <= to; n++) all.add(n);
  }
  return [...all].sort((a, b) => a - b);
};

describe('L21: folding', () => {
  it('hides a step but for its header, with its children', () => {
    expect(hidden(0)).toEqual([3, 4, 5, 6, 7, 8, 9]);
    expect(hidden(1)).toEqual([5, 6]);
    expect(hidden(2)).toEqual([11, 12]);
    expect(hidden(0, 1)).toEqual(hidden(0));
    expect(hidden()).toEqual([]);
  });
  it('leaves the lines of others alone where steps run side by side', () => {
    const two = [step(0, null, 1, 5), step(1, null, 2, 6)];
    const mixed = [
      { step: 0, first_line: 1, last_line: 1 },
      { step: 1, first_line: 2, last_line: 2 },
      { step: 0, first_line: 3, last_line: 3 },
      { step: 1, first_line: 4, last_line: 4 },
      { step: 0, first_line: 5, last_line: 5 },
      { step: 1, first_line: 6, last_line: null },
    ];
    const spans = hiddenSpans(two, mixed, new Set([0]), 6).filter(([from, to]) => from <= to);
    expect(spans).toEqual([[3, 3], [5, 5]]);
  });
  it('knows whose a line is, and the headers above it', () => {
    expect([1, 2, 5, 8, 10, 999].map((n) => ownerOf(ranges, n))).toEqual([null, 0, 1, 0, 2, 2]);
    expect(lineage(steps, 1).map((one) => one.index)).toEqual([0, 1]);
    expect(foldedBy(steps, new Set([0]))).toEqual([0, 0, null]);
    const meta = { ranges } as unknown as LogMeta;
    const sticky = (n: number) => stickyFor(steps, meta, n).map((one) => one.index);
    expect([sticky(1), sticky(2), sticky(3), sticky(4), sticky(5), sticky(11)]).toEqual([[], [], [0], [0], [0, 1], [2]]);
  });
  it('L21: headers stick to depth 2, the outermost first', () => {
    const deep = [step(0, null, 1, 9), step(1, 0, 2, 9), step(2, 1, 3, 9), step(3, 2, 4, 9)];
    const meta = { ranges: [{ step: 3, first_line: 4, last_line: 9 }] } as unknown as LogMeta;
    expect(stickyFor(deep, meta, 6).map((one) => one.index)).toEqual([0, 1]);
  });
  it('L21: what sticks is the step that is read below it, never one that has scrolled away', () => {
    const meta = { ranges } as unknown as LogMeta;
    // A row of 20 px and headers of 24: the lines below one and two of them are the next but one, ...
    const at = (top: number) => stickyAt(steps, meta, top, top + 1, top + 2).map((one) => one.index);
    expect(at(1)).toEqual([]);
    expect(at(2)).toEqual([]);
    expect(at(3)).toEqual([0]);
    expect(at(4)).toEqual([0, 1]);
    // Line 9 is the outer step's last: the next step's own header is in sight.
    expect(at(9)).toEqual([]);
    expect(at(11)).toEqual([2]);
    expect(stickyAt(steps, null, 5, 6, 7)).toEqual([]);
  });
});
