import type { Line } from '$lib/api/types';

/** Lines come and are kept in ranges of this many, by number. */
export const RANGE_LINES = 512;
/** At most this many ranges are kept; those used longest ago go first. */
export const RANGES_MAX = 64;

/** The lines that the page has, by number. */
export class LineCache {
  /** In order of use: the last one was used last. */
  readonly #ranges = new Map<number, (Line | undefined)[]>();

  get size(): number {
    return this.#ranges.size;
  }

  get(n: number): Line | undefined {
    return this.#ranges.get(rangeOf(n))?.[(n - 1) % RANGE_LINES];
  }

  put(lines: readonly Line[]): void {
    this.#keep(lines.map((line) => [line.n, line] as const));
  }

  #keep(entries: readonly (readonly [number, Line])[]): void {
    for (const [position, line] of entries) {
      const index = rangeOf(position);
      let range = this.#ranges.get(index);
      if (range === undefined) {
        range = [];
        this.#ranges.set(index, range);
        this.#evict();
      }
      range[(position - 1) % RANGE_LINES] = line;
    }
  }

  /** Keeps `lines` as those from position `first` on, whatever their numbers. */
  putAt(first: number, lines: readonly Line[]): void {
    this.#keep(lines.map((line, at) => [first + at, line] as const));
  }

  /** Marks the ranges of the lines `from` to `to` as used. */
  touch(from: number, to: number): void {
    for (let index = rangeOf(from); index <= rangeOf(to); index++) {
      const range = this.#ranges.get(index);
      if (range === undefined) continue;
      this.#ranges.delete(index);
      this.#ranges.set(index, range);
    }
  }

  /** The first and last line that is missing in range `index` of a log of `total` lines. */
  missing(index: number, total: number): { from: number; to: number } | null {
    const first = index * RANGE_LINES + 1;
    const last = Math.min(total, first + RANGE_LINES - 1);
    const range = this.#ranges.get(index);
    let from = first;
    let to = last;
    while (from <= to && range?.[from - first] !== undefined) from++;
    while (to >= from && range?.[to - first] !== undefined) to--;
    return from <= to ? { from, to } : null;
  }

  #evict(): void {
    for (const index of this.#ranges.keys()) {
      if (this.#ranges.size <= RANGES_MAX) return;
      this.#ranges.delete(index);
    }
  }
}

/** The range that line `n` is in. */
export function rangeOf(n: number): number {
  return Math.floor((n - 1) / RANGE_LINES);
}
