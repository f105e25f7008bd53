import { describe, expect, it } from 'vitest';
import { LogDocument, PAGE_LINES, type Span } from './document';

/** The same by brute force: a list of rows, each with its line. */
function model(
  count: number,
  hidden: readonly Span[],
  widths: (n: number) => number,
  columns: number | null,
  extra: ReadonlyMap<number, number> = new Map(),
) {
  const rows: number[] = [];
  for (let n = 1; n <= count; n++) {
    if (hidden.some(([from, to]) => from <= n && n <= to)) continue;
    const high = (extra.get(n) ?? 0) + (columns === null ? 1 : Math.max(1, Math.ceil(widths(n) / columns)));
    for (let row = 0; row < high; row++) rows.push(n);
  }
  return rows;
}

function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

describe('L1 L3 L15 L21: the rows of a log', () => {
  for (let seed = 1; seed <= 40; seed++) {
    it(`are those of a plain list, folded and wrapped (seed ${seed})`, () => {
      const next = random(seed);
      const count = 1 + next(3 * PAGE_LINES);
      const widths = (n: number) => (n * 7919) % 260;
      const columns = next(2) === 0 ? null : 20 + next(100);
      const hidden: Span[] = Array.from({ length: next(6) }, () => {
        const from = 1 + next(count);
        return [from, Math.min(count, from + next(400))] as const;
      });
      const document = new LogDocument(widths);
      document.resize(count);
      document.hide(hidden);
      document.wrap(columns);
      const extra = new Map(Array.from({ length: seed % 2 === 0 ? next(20) : 0 }, () => [1 + next(count), next(4)] as const));
      document.setExtra(extra);
      const rows = model(count, hidden, widths, columns, extra);
      if (columns !== null && next(2) === 0) {
        // What the server says of whole pages is what the lines add up to.
        const pages = Array.from({ length: Math.floor(count / PAGE_LINES) }, (_, page) => {
          const all = model((page + 1) * PAGE_LINES, [[1, page * PAGE_LINES]], widths, columns);
          return all.length;
        });
        document.setPages(0, pages);
      }
      expect(document.rows).toBe(rows.length);
      for (let turn = 0; turn < 60 && rows.length > 0; turn++) {
        const row = next(rows.length);
        expect(document.at(row)).toBe(rows[row]);
        expect(document.rowOf(rows[row]!)).toBe(rows.indexOf(rows[row]!));
      }
      for (let turn = 0; turn < 20; turn++) {
        const n = 1 + next(count);
        const shown = !hidden.some(([from, to]) => from <= n && n <= to);
        expect(document.isHidden(n)).toBe(!shown);
        expect(document.from(n)).toBe(rows.find((one) => one >= n) ?? null);
        expect(document.upTo(n)).toBe(rows.findLast((one) => one <= n) ?? null);
      }
    });
  }

  it('unfolds to what it was', () => {
    const document = new LogDocument(() => 10);
    document.resize(1000);
    document.hide([[10, 20], [15, 500]]);
    expect(document.rows).toBe(509);
    expect(document.rowOf(501)).toBe(9);
    document.hide([]);
    expect(document.rows).toBe(1000);
    expect(document.rowOf(501)).toBe(500);
  });

  it('L24: of ten million lines with ten thousand folds are found at once', () => {
    const document = new LogDocument(() => undefined);
    document.resize(10_000_000);
    document.hide(Array.from({ length: 10_000 }, (_, at) => [at * 1000 + 2, at * 1000 + 1000] as const));
    expect(document.rows).toBe(10_000);
    let steps = 0;
    for (let row = 0; row < 10_000; row++) {
      expect(document.at(row)).toBe(row * 1000 + 1);
      steps += 1;
    }
    expect(steps).toBe(10_000);
  });

  it('asks for the pages that it lacks, and only when lines wrap', () => {
    const document = new LogDocument(() => undefined);
    document.resize(2000);
    expect(document.missingPage()).toBeNull();
    document.wrap(80);
    expect(document.missingPage()).toBe(0);
    document.setPages(0, [600, 700]);
    expect(document.missingPage()).toBe(2);
    document.setPages(2, [512]);
    expect(document.missingPage()).toBeNull();
    expect(document.rows).toBe(600 + 700 + 512 + (2000 - 3 * PAGE_LINES));
    document.wrap(100);
    expect(document.missingPage()).toBe(0);
  });
});
