// Which lines of a log have rows, where, and how many each takes. Positions count from 1: they are
// line numbers, or, under a filter, places among the lines that it lets through. Heights are in
// rows; nothing is measured.

/** Row counts come from the server in pages of this many lines. */
export const PAGE_LINES = 512;

/** Lines that are hidden, first and last. */
export type Span = readonly [from: number, to: number];

export class LogDocument {
  #count = 0;
  /** Hidden spans, ascending and apart, and how many positions are hidden before each. */
  #hidden: Span[] = [];
  #before: number[] = [0];
  /** Positions with rows of their own beside the line's, ascending, and how many rows each has. */
  #extra: readonly (readonly [position: number, rows: number])[] = [];
  /** Of those, what is not hidden: positions, and the rows of all before each. */
  #shownExtra: number[] = [];
  #extraBefore: number[] = [0];
  /** Wrapped at this many columns; `null`: each line is one row. */
  #columns: number | null = null;
  /** Rows of whole pages, as far as the server has said. */
  #known: number[] = [];
  /** Rows before each page; one more at the end. Empty: to be counted again. */
  #prefix: number[] = [];
  readonly #widthOf: (position: number) => number | undefined;

  /** `widthOf`: the columns of a line, where it is known. */
  constructor(widthOf: (position: number) => number | undefined) {
    this.#widthOf = widthOf;
  }

  get count(): number {
    return this.#count;
  }

  get columns(): number | null {
    return this.#columns;
  }

  /** There are so many positions. */
  resize(count: number): void {
    if (count === this.#count) return;
    this.#count = count;
    this.#prefix = [];
  }

  /** Hides these lines; they may touch or overlap. */
  hide(spans: readonly Span[]): void {
    const sorted = [...spans].filter(([from, to]) => to >= from).sort((a, b) => a[0] - b[0]);
    const merged: [number, number][] = [];
    for (const [from, to] of sorted) {
      const last = merged[merged.length - 1];
      if (last !== undefined && from <= last[1] + 1) last[1] = Math.max(last[1], to);
      else merged.push([from, to]);
    }
    this.#hidden = merged;
    this.#before = [0];
    let sum = 0;
    for (const [from, to] of merged) this.#before.push((sum += to - from + 1));
    this.#sumExtra();
  }

  /** Gives positions rows beside the line's: gaps, steps that begin without a line of their own. */
  setExtra(extra: ReadonlyMap<number, number>): void {
    this.#extra = [...extra].filter(([, rows]) => rows > 0).sort((a, b) => a[0] - b[0]);
    this.#sumExtra();
  }

  #sumExtra(): void {
    this.#shownExtra = [];
    this.#extraBefore = [0];
    let sum = 0;
    for (const [position, rows] of this.#extra) {
      if (this.isHidden(position)) continue;
      this.#shownExtra.push(position);
      this.#extraBefore.push((sum += rows));
    }
    this.#prefix = [];
  }

  /** The rows beside the lines of the positions up to `position`. */
  #extraUpTo(position: number): number {
    if (this.#shownExtra.length === 0) return 0;
    let low = 0;
    let high = this.#shownExtra.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#shownExtra[middle]! <= position) low = middle + 1;
      else high = middle;
    }
    return this.#extraBefore[low]!;
  }

  /** The rows beside the line of `position`. */
  extraOf(position: number): number {
    return this.#extraUpTo(position) - this.#extraUpTo(position - 1);
  }

  /** Wraps at `columns`, or not. */
  wrap(columns: number | null): void {
    if (columns === this.#columns) return;
    this.#columns = columns;
    this.#known = [];
    this.#prefix = [];
  }

  /** The server's row counts of the pages from `page` on, for the present columns. */
  setPages(page: number, rows: readonly number[]): void {
    for (const [at, count] of rows.entries()) this.#known[page + at] = count;
    this.#prefix = [];
  }

  /** The first page whose row count is missing; `null`: none that matters. */
  missingPage(): number | null {
    if (this.#columns === null) return null;
    const whole = Math.floor(this.#count / PAGE_LINES);
    return this.#known.length < whole ? this.#known.length : null;
  }

  /** Widths of lines have become known. */
  loaded(): void {
    if (this.#columns !== null) this.#prefix = [];
  }

  /** How many rows all of it takes. */
  get rows(): number {
    if (this.#columns === null) {
      return this.#count - this.#hiddenUpTo(this.#count) + this.#extraUpTo(this.#count);
    }
    const prefix = this.#pages();
    return prefix[prefix.length - 1] ?? 0;
  }

  isHidden(position: number): boolean {
    const span = this.#hidden[this.#spanAt(position)];
    return span !== undefined && span[0] <= position;
  }

  /** The first position from `position` on that has a row; `null`: none. */
  from(position: number): number | null {
    const span = this.#hidden[this.#spanAt(position)];
    const found = span !== undefined && span[0] <= position ? span[1] + 1 : position;
    return found <= this.#count ? found : null;
  }

  /** The last position up to `position` that has a row; `null`: none. */
  upTo(position: number): number | null {
    const span = this.#hidden[this.#spanAt(position)];
    const found = span !== undefined && span[0] <= position ? span[0] - 1 : position;
    return found >= 1 ? found : null;
  }

  /** How many rows the line takes: exact where its width is known. */
  rowsOf(position: number): number {
    const extra = this.extraOf(position);
    if (this.#columns === null) return 1 + extra;
    const width = this.#widthOf(position);
    if (width !== undefined) return extra + Math.max(1, Math.ceil(width / this.#columns));
    const known = this.#known[Math.floor((position - 1) / PAGE_LINES)];
    return extra + (known === undefined ? 1 : known / PAGE_LINES);
  }

  /** How many rows stand before the line's. */
  rowOf(position: number): number {
    const at = Math.min(position, this.#count + 1);
    if (this.#columns === null) return at - 1 - this.#hiddenUpTo(at - 1) + this.#extraUpTo(at - 1);
    const page = Math.floor((at - 1) / PAGE_LINES);
    let row = this.#pages()[page] ?? 0;
    for (let one = page * PAGE_LINES + 1; one < at; one++) {
      if (!this.isHidden(one)) row += this.rowsOf(one);
    }
    return row;
  }

  /** The line that has the row `row`; the last one beyond the end; `null`: there is none. */
  at(row: number): number | null {
    if (this.#columns === null) {
      return this.#shownExtra.length === 0 ? this.#atVisible(Math.floor(row)) : this.#atBeside(row);
    }
    const prefix = this.#pages();
    let low = 0;
    let high = prefix.length - 2;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (prefix[middle]! <= row) low = middle;
      else high = middle - 1;
    }
    let rest = row - (prefix[low] ?? 0);
    let last = this.upTo(Math.min(this.#count, low * PAGE_LINES));
    const end = Math.min(this.#count, (low + 1) * PAGE_LINES);
    for (let one = low * PAGE_LINES + 1; one <= end; one++) {
      if (this.isHidden(one)) continue;
      last = one;
      const rows = this.rowsOf(one);
      if (rest < rows) return one;
      rest -= rows;
    }
    return last;
  }

  /** The index of the first hidden span that ends at or behind `position`. */
  #spanAt(position: number): number {
    let low = 0;
    let high = this.#hidden.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#hidden[middle]![1] < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** How many of the positions up to `position` are hidden. */
  #hiddenUpTo(position: number): number {
    const index = this.#spanAt(position);
    const span = this.#hidden[index];
    const inside = span === undefined ? 0 : Math.max(0, position - span[0] + 1);
    return this.#before[index]! + inside;
  }

  /** The last position that begins at or before `row`, where some have more rows than one. */
  #atBeside(row: number): number | null {
    if (this.from(1) === null) return null;
    let low = 1;
    let high = this.#count;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.rowOf(middle) <= row) low = middle;
      else high = middle - 1;
    }
    return this.upTo(low) ?? this.from(low);
  }

  #atVisible(index: number): number | null {
    const visible = this.#count - this.#hiddenUpTo(this.#count);
    if (visible <= 0) return null;
    const wanted = Math.min(Math.max(0, index), visible - 1);
    // How many hidden spans stand before the wanted visible line.
    let low = 0;
    let high = this.#hidden.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const shownBefore = this.#hidden[middle]![0] - 1 - this.#before[middle]!;
      if (shownBefore <= wanted) low = middle + 1;
      else high = middle;
    }
    return wanted + 1 + this.#before[low]!;
  }

  #pages(): number[] {
    if (this.#prefix.length > 0) return this.#prefix;
    const pages = Math.ceil(this.#count / PAGE_LINES);
    const prefix = new Array<number>(pages + 1);
    let sum = 0;
    prefix[0] = 0;
    for (let page = 0; page < pages; page++) prefix[page + 1] = sum += this.#pageRows(page);
    return (this.#prefix = prefix);
  }

  #pageRows(page: number): number {
    const first = page * PAGE_LINES + 1;
    const last = Math.min(this.#count, first + PAGE_LINES - 1);
    const hidden = this.#hiddenUpTo(last) - this.#hiddenUpTo(first - 1);
    if (hidden === last - first + 1) return 0;
    const known = this.#known[page];
    if (hidden === 0 && known !== undefined && last === first + PAGE_LINES - 1) {
      return known + this.#extraUpTo(last) - this.#extraUpTo(first - 1);
    }
    let rows = 0;
    for (let one = first; one <= last; one++) if (!this.isHidden(one)) rows += this.rowsOf(one);
    return rows;
  }
}
