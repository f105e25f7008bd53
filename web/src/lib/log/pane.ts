// The log: one scrolling list in which only the rows in view exist. No framework: rows change many
// times a second, and each change touches only the nodes that differ.

import type { Line, LogRange, LogRows } from '$lib/api/types';
import type { Extent } from '$lib/live/fold';
import { LogDocument, type Span } from './document';
import { widthOf, type Mark } from './draw';
import { follow, FOLLOW_OFF, unseen, type Follow, type Intent } from './follow';
import { Input } from './input';
import { LineLoader, type LineFilter } from './loader';
import { LogRow, NO_MARKS, NOTHING_BESIDE, type Beside, type RowTexts, type StepHead } from './row';
import { ScrollMap } from './scroll-map';
import { Selected } from './selected';

export const ROW_PX = 20;
/** Rows mounted on either side of the view. */
const OVERSCAN = 10;
/** Rows are placed relative to one whose number is a multiple of this. */
const BASE_ROWS = 50_000;
const IDLE_MS = 150;
/** The height of a sticky header. */
const STICKY_PX = 24;
/** Fewer columns than this are not wrapped at. */
const COLUMNS_MIN = 20;

export interface PaneTexts extends RowTexts {
  rows: string;
}

export interface PaneState {
  readonly following: boolean;
  /** Lines that came while not following. */
  readonly unseen: number;
  readonly lines: number;
  /** Lines that the filter lets through; `null`: no filter. */
  readonly filtered: number | null;
  /** Nothing at all has been printed, as far as is known. */
  readonly empty: boolean;
  /** The last request failed; it is being tried again. */
  readonly failed: boolean;
  /** The line that was asked for and does not exist yet. */
  readonly waiting: number | null;
  /** The first and last line in view; 0: none. */
  readonly top: number;
  readonly bottom: number;
  /** The lines below one sticky header, and below two. */
  readonly under: number;
  readonly under2: number;
}

export interface LineSpan {
  readonly from: number;
  readonly to: number;
}

/** What the search found: where it is in each line, and where the reader is. */
export interface Marks {
  of(n: number): readonly Mark[];
}

/** Rows before a line's own, and behind it. */
export interface BesideLine {
  readonly before: readonly Beside[];
  readonly after: readonly Beside[];
}

export interface PaneOptions {
  readonly texts: PaneTexts;
  fetch(from: number, limit: number, signal: AbortSignal): Promise<LogRange>;
  fetchFiltered(filter: LineFilter, skip: number, limit: number, signal: AbortSignal): Promise<LogRange>;
  fetchRows(columns: number, page: number, signal: AbortSignal): Promise<LogRows>;
  onstate(state: PaneState): void;
  /** A line's number was pressed; `extend`: with shift. */
  online(n: number, extend: boolean): void;
  /** A step's header was pressed. */
  onfold(step: number): void;
  /** More of a line is wanted than its row shows. */
  oninspect(line: Line): void;
  /** What a filter hides before a line is wanted. */
  onskip(n: number): void;
  /** What is selected is too long to be copied: it is offered otherwise. */
  onlong(span: LineSpan): void;
}

interface Anchor {
  readonly position: number;
  readonly offset: number;
}

export type GotoReason = 'line' | 'search' | 'error' | 'step';

export class LogPane {
  readonly #scroller: HTMLElement;
  readonly #spacer = document.createElement('div');
  readonly #list = document.createElement('div');
  readonly #options: PaneOptions;
  readonly #map = new ScrollMap();
  readonly #loader: LineLoader;
  readonly #document: LogDocument;
  readonly #rows = new Map<number, LogRow>();
  readonly #spare: LogRow[] = [];
  readonly #abort = new AbortController();
  readonly #resize: ResizeObserver;
  readonly #selected: Selected;
  #texts: PaneTexts;
  #follow: Follow = FOLLOW_OFF;
  #waiting: number | null = null;
  #highlight: LineSpan | null = null;
  #heads: ReadonlyMap<number, StepHead> = new Map();
  #beside: ReadonlyMap<number, BesideLine> = new Map();
  #marks: Marks | null = null;
  #time: ((line: Line) => string) | null = null;
  #wrap = false;
  #chPx = 0;
  #rowsRequest: AbortController | null = null;
  #base = 0;
  #columns = 0;
  #digits = 0;
  #top = 0;
  #bottom = 0;
  #frame = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #byReader = false;
  /** What was gone to: it stays in its place while heights above it become known. */
  #aim: { readonly position: number; readonly above: number } | null = null;
  /** The line at the top of the view when it was last drawn, and how far it has scrolled out. */
  #anchor: Anchor | null = null;
  /** What was at the top when it was folded away. */
  #folded: Anchor | null = null;
  #known = false;
  #last: PaneState | null = null;

  /** Builds the log inside `scroller`, which scrolls, has a height, and can have the focus. */
  constructor(scroller: HTMLElement, options: PaneOptions) {
    this.#scroller = scroller;
    this.#options = options;
    this.#texts = options.texts;
    this.#loader = new LineLoader({
      fetch: options.fetch,
      fetchFiltered: options.fetchFiltered,
      changed: () => this.#loaded(),
    });
    this.#document = new LogDocument((position) => {
      const line = this.#loader.get(position);
      if (line === undefined) return undefined;
      return this.#heads.has(line.n) && this.#loader.filter === null ? 1 : widthOf(line);
    });
    this.#spacer.className = 'log-spacer';
    this.#list.className = 'log-list';
    this.#list.setAttribute('role', 'list');
    this.#list.setAttribute('aria-label', options.texts.rows);
    this.#spacer.append(this.#list);
    scroller.append(this.#spacer);
    performance.mark('sf:log-mounted');
    this.#resize = new ResizeObserver(() => this.#rewrap());
    this.#resize.observe(scroller);
    const { signal } = this.#abort;
    new Input(scroller, signal, {
      intend: (intent) => this.#intend(intent),
      scrolled: () => this.#scrolled(),
      reader: (up) => {
        // Who goes a row up does not want to be brought back for having come to rest near the end.
        this.#byReader = !up;
        this.#aim = null;
        this.#folded = null;
      },
      scrollable: () => this.#map.realMax > 0,
      end: () => this.#toEnd(),
      home: () => this.#goReal(0),
      pressed: (target, shift) => this.#pressed(target, shift),
    });
    this.#selected = new Selected(scroller, this.#list, signal, {
      rowOf: (node) => this.#rowOf(node),
      linesOf: (from, to, stop) => this.#loader.linesOf(from, to, stop),
      cached: (n) => (this.#loader.filter === null ? this.#loader.get(n) : undefined),
      intend: () => this.#intend('select'),
      changed: () => this.#schedule(),
      toolong: (span) => options.onlong(span),
    });
    document.addEventListener('visibilitychange', () => this.#schedule(), { signal });
  }

  /** The log is known to have come this far. */
  setExtent(extent: Extent): void {
    // What was there when the log was opened is not new.
    if (!this.#known) this.#follow = { on: this.#follow.on, seen: extent.lines };
    this.#known = true;
    this.#loader.grow(extent);
    this.#schedule();
  }

  /** The lines at which steps begin. */
  setHeads(heads: ReadonlyMap<number, StepHead>): void {
    this.#heads = heads;
    this.#schedule();
  }

  /** Rows that are not lines: gaps, and steps without a line of their own. */
  setBeside(beside: ReadonlyMap<number, BesideLine>): void {
    if (beside.size === 0 && this.#beside.size === 0) return;
    this.#beside = beside;
    this.#keep(() => this.#place());
  }

  #place(): void {
    const rows = this.#loader.filter === null ? [...this.#beside] : [];
    this.#document.setExtra(new Map(rows.map(([n, { before, after }]) => [n, before.length + after.length])));
  }

  /** Hides the lines of folded steps. */
  setHidden(spans: readonly Span[]): void {
    this.#keep(() => this.#document.hide(this.#loader.filter === null ? spans : []));
  }

  /** What the time column shows; `null`: no column. */
  setTime(time: ((line: Line) => string) | null): void {
    const had = this.#time !== null;
    this.#time = time;
    this.#scroller.classList.toggle('with-time', time !== null);
    if (had !== (time !== null)) this.#rewrap();
    this.#refill();
  }

  setTexts(texts: PaneTexts): void {
    this.#texts = texts;
    this.#list.setAttribute('aria-label', texts.rows);
    this.#refill();
  }

  /** Draws every row again: colours mean something else. */
  redraw(): void {
    this.#refill();
  }

  setHighlight(span: LineSpan | null): void {
    this.#highlight = span;
    this.#schedule();
  }

  setMarks(marks: Marks | null): void {
    this.#marks = marks;
    this.#schedule();
  }

  setWrap(on: boolean): void {
    this.#wrap = on;
    this.#scroller.classList.toggle('wrapped', on);
    this.#rewrap();
  }

  /** Shows only what `filter` lets through; the line at the top stays where it is, or the next. */
  setFilter(filter: LineFilter | null): void {
    if (JSON.stringify(filter) === JSON.stringify(this.#loader.filter)) return;
    const n = this.#top;
    this.#folded = null;
    this.#loader.setFilter(filter);
    if (filter !== null) this.#document.hide([]);
    this.#place();
    this.#rows.forEach((row) => row.stale());
    if (filter === null) {
      this.#measure();
      if (n > 1 && !this.#follow.on) this.#goReal(this.#document.rowOf(n) * ROW_PX);
    } else {
      this.#goReal(0);
      if (n > 1 && !this.#follow.on) {
        void this.#locate(n).then((at) => {
          if (this.#loader.filter === filter) this.#goReal(this.#document.rowOf(at) * ROW_PX);
        });
      }
    }
    this.#schedule();
  }

  /** What the reader wants of following, by other means than the log itself. */
  intend(intent: Intent): void {
    this.#waiting = null;
    this.#intend(intent);
    if (this.#follow.on) this.#toEnd();
  }

  /**
   * Shows line `n` a third down the view, or the header of what hides it. One that does not exist
   * yet is waited for.
   */
  goto(n: number, why: GotoReason = 'line'): void {
    this.#intend(why === 'search' ? 'search' : 'line');
    const { extent } = this.#loader;
    const known = extent.lines + (this.#loader.hasPartial ? 1 : 0);
    this.#waiting = n > known && !extent.ended ? n : null;
    this.#loader.showAll();
    this.#measure();
    const show = (position: number) => {
      const above = why === 'step' ? 0 : Math.max(0, this.#scroller.clientHeight / 3 - ROW_PX);
      this.#aim = { position, above };
      this.#folded = null;
      this.#goReal(this.#document.rowOf(position) * ROW_PX - above);
    };
    if (this.#loader.filter === null) show(Math.max(1, n));
    else {
      const { filter } = this.#loader;
      // Another filter by then, or none: the place is another one.
      void this.#locate(n).then((at) => (this.#loader.filter === filter ? show(at) : this.goto(n, why)));
    }
  }

  /** The exact text of lines, for copying. */
  textOf(span: LineSpan, signal: AbortSignal): Promise<Line[]> {
    return this.#loader.linesOf(span.from, span.to, signal);
  }

  /** Line `n`, if it is here. */
  lineAt(n: number): Line | undefined {
    return this.#loader.filter === null ? this.#loader.get(n) : undefined;
  }

  /** The lines that the selection touches; `null`: none. */
  selectedSpan(): LineSpan | null {
    return this.#selected.span();
  }

  destroy(): void {
    this.#abort.abort();
    this.#resize.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#idle);
    this.#rowsRequest?.abort();
    this.#loader.destroy();
    this.#spacer.remove();
  }

  #pressed(target: Element, shift: boolean): boolean {
    const row = this.#rowOf(target);
    const line = row?.line;
    if (row === null) return false;
    const act = target.closest<HTMLElement>('[data-act]')?.dataset.act;
    if (target.classList.contains('log-n')) {
      this.#intend('line');
      this.#options.online(line?.n ?? row.position, shift);
    } else if (act === 'skip') this.#options.onskip(line?.n ?? 1);
    else if (act === 'inspect' && line !== undefined) this.#options.oninspect(line);
    else if (act === 'fold' || (row.element.dataset.step !== undefined && getSelection()?.isCollapsed !== false)) {
      const beside = target.closest<HTMLElement>('.log-beside')?.querySelector<HTMLElement>('.log-fold');
      const step = beside?.dataset.step ?? this.#heads.get(line?.n ?? row.position)?.index;
      if (step === undefined) return false;
      this.#intend('fold');
      this.#options.onfold(Number(step));
    } else return false;
    return true;
  }

  #intend(intent: Intent): void {
    if (intent !== 'line') this.#waiting = null;
    const before = this.#follow;
    this.#follow = follow(before, intent, this.#loader.extent.lines);
    if (this.#follow !== before) this.#schedule();
  }

  /** Lines have come: wrapped ones may be higher than was thought, and what is read stays put. */
  #loaded(): void {
    this.#schedule();
    if (this.#document.columns === null) return;
    this.#document.loaded();
    const aim = this.#aim;
    if (this.#follow.on) return;
    if (aim !== null) this.#goReal(this.#document.rowOf(aim.position) * ROW_PX - aim.above);
    else if (this.#anchor !== null) {
      this.#goReal(this.#document.rowOf(this.#anchor.position) * ROW_PX + this.#anchor.offset);
    }
  }

  #toEnd(): void {
    this.#folded = null;
    this.#loader.showAll();
    this.#measure();
    this.#goReal(this.#map.realMax);
  }

  #goReal(real: number): void {
    this.#measure();
    this.#setTop(this.#map.goto(real));
    this.#schedule();
  }

  // Where the view is.

  #scrolled(): void {
    const before = this.#map.real;
    const put = this.#map.scrolled(this.#scroller.scrollTop);
    if (put !== null) this.#setTop(put);
    if (Math.abs(this.#map.real - before) > 4 * this.#scroller.clientHeight) {
      this.#loader.jumpedAt = performance.now();
    }
    clearTimeout(this.#idle);
    this.#idle = setTimeout(() => this.#rested(), IDLE_MS);
    this.#schedule();
  }

  #rested(): void {
    const put = this.#map.settle();
    if (put !== null) {
      this.#setTop(put);
      this.#schedule();
    }
    if (!this.#byReader) return;
    this.#byReader = false;
    const near = this.#map.realMax - this.#map.real <= 2 * ROW_PX;
    if (near && !this.#loader.extent.ended) this.#intend('rest-at-end');
  }

  #setTop(top: number): void {
    if (Math.abs(this.#scroller.scrollTop - top) >= 1) this.#scroller.scrollTop = top;
  }

  /** Makes the spacer as high as the rows need. */
  #measure(): void {
    this.#document.resize(this.#loader.count);
    const height = this.#map.height;
    const view = this.#scroller.clientHeight;
    const top = this.#map.resize(this.#document.rows * ROW_PX + ROW_PX / 2, view);
    if (this.#map.height !== height) this.#spacer.style.height = `${this.#map.height}px`;
    const digits = Math.max(4, String(Math.max(this.#loader.extent.lines, this.#loader.count)).length);
    if (digits !== this.#digits) {
      this.#digits = digits;
      this.#scroller.style.setProperty('--log-digits', String(digits));
      this.#rewrap();
    }
    this.#setTop(top);
  }

  /**
   * Does `change`, and leaves the line at the top of the view where it is. One that is hidden by it
   * comes back to its place when it is shown again, unless the reader has gone elsewhere meanwhile.
   */
  #keep(change: () => void): void {
    const anchor = this.#folded ?? this.#atTop();
    change();
    if (this.#follow.on) this.#toEnd();
    else if (anchor !== null) {
      this.#measure();
      const { position, offset } = anchor;
      const hidden = this.#document.isHidden(position);
      const shown = hidden ? (this.#document.upTo(position) ?? 1) : position;
      this.#setTop(this.#map.goto(this.#document.rowOf(shown) * ROW_PX + (hidden ? 0 : offset)));
      this.#folded = hidden ? anchor : null;
    }
    this.#schedule();
  }

  /** The line at the top of the view, and how far it has scrolled out. */
  #atTop(): Anchor | null {
    const position = this.#document.at(this.#map.real / ROW_PX);
    if (position === null) return null;
    return { position, offset: this.#map.real - this.#document.rowOf(position) * ROW_PX };
  }

  /** The width has changed, or what takes room of it. */
  #rewrap(): void {
    if (!this.#wrap) {
      if (this.#document.columns !== null) this.#keep(() => this.#document.wrap(null));
      this.#schedule();
      return;
    }
    if (this.#chPx === 0) {
      const probe = document.createElement('span');
      probe.textContent = '0'.repeat(100);
      probe.className = 'log-probe';
      this.#scroller.append(probe);
      this.#chPx = probe.getBoundingClientRect().width / 100;
      probe.remove();
    }
    if (this.#chPx === 0) return;
    const ch = Math.floor(this.#scroller.clientWidth / this.#chPx);
    const columns = Math.max(COLUMNS_MIN, ch - (this.#digits + 5) - (this.#time === null ? 0 : 14));
    if (columns !== this.#document.columns) {
      this.#rowsRequest?.abort();
      this.#rowsRequest = null;
      this.#keep(() => this.#document.wrap(columns));
    }
    this.#schedule();
  }

  /** Brings the row counts of pages that are not known yet. */
  #countRows(): void {
    const { columns } = this.#document;
    const page = this.#loader.filter === null ? this.#document.missingPage() : null;
    if (columns === null || page === null || this.#rowsRequest !== null) return;
    const request = (this.#rowsRequest = new AbortController());
    this.#options.fetchRows(columns, page, request.signal).then(
      (answer) => {
        if (this.#rowsRequest !== request) return;
        this.#rowsRequest = null;
        const whole = Math.floor(answer.scanned_lines / answer.page_lines) - page;
        if (whole > 0) this.#keep(() => this.#document.setPages(page, answer.pages.slice(0, whole)));
        else setTimeout(() => this.#schedule(), 300);
      },
      () => {
        if (this.#rowsRequest === request) this.#rowsRequest = null;
      },
    );
  }

  /** Where line `n`, or the first one behind it, is among those that the filter lets through. */
  async #locate(n: number): Promise<number> {
    const { filter } = this.#loader;
    if (filter === null) return n;
    const { signal } = this.#abort;
    try {
      const head = await this.#options.fetchFiltered(filter, 0, 1, signal);
      let low = 0;
      let high = head.filtered?.total ?? 0;
      while (low < high) {
        const middle = (low + high) >> 1;
        const [line] = (await this.#options.fetchFiltered(filter, middle, 1, signal)).lines;
        if (line !== undefined && line.n < n) low = middle + 1;
        else high = middle;
      }
      return low + 1;
    } catch {
      return 1;
    }
  }

  // Drawing.

  #schedule(): void {
    if (this.#frame !== 0 || this.#abort.signal.aborted) return;
    this.#frame = requestAnimationFrame(() => {
      this.#frame = 0;
      if (!document.hidden) this.#render();
    });
  }

  #refill(): void {
    for (const row of this.#rows.values()) row.stale();
    this.#schedule();
  }

  #render(): void {
    if (!this.#follow.on) this.#loader.showAll();
    this.#measure();
    const { extent } = this.#loader;
    if (this.#waiting !== null && this.#waiting <= extent.lines) {
      const n = this.#waiting;
      this.#waiting = null;
      this.goto(n);
    }
    if (this.#follow.on) this.#setTop(this.#map.goto(this.#map.realMax));
    const first = this.#map.real / ROW_PX;
    const last = (this.#map.real + this.#scroller.clientHeight) / ROW_PX;
    const wanted = this.#inView(first - OVERSCAN, last + OVERSCAN);
    const [top] = wanted.filter(([position, row]) => row + this.#document.rowsOf(position) > first);
    this.#anchor =
      top === undefined ? null : { position: top[0], offset: this.#map.real - top[1] * ROW_PX };
    this.#mount(wanted, first, last);
    this.#loader.request(wanted.map(([position]) => position));
    if (this.#follow.on || last >= this.#document.rows) this.#loader.pump();
    this.#countRows();
    this.#report();
  }

  /** The positions with a row from `from` to `to`, each with the row that it begins at. */
  #inView(from: number, to: number): [position: number, row: number][] {
    const found: [number, number][] = [];
    let position = this.#document.at(Math.max(0, Math.floor(from)));
    if (position === null) return found;
    let row = this.#document.rowOf(position);
    while (position !== null && row < to) {
      found.push([position, row]);
      row += this.#document.rowsOf(position);
      position = this.#document.from(position + 1);
    }
    return found;
  }

  /** Mounts exactly the wanted rows and those that hold an end of the selection. */
  #mount(inView: readonly [number, number][], first: number, last: number): void {
    const base = Math.floor(first / BASE_ROWS) * BASE_ROWS;
    const rebased = base !== this.#base;
    this.#base = base;
    this.#list.style.transform = `translateY(${base * ROW_PX - this.#map.offset}px)`;

    const wanted = new Map(inView);
    for (const pin of this.#selected.pins) {
      if (!wanted.has(pin) && this.#rows.has(pin)) wanted.set(pin, this.#document.rowOf(pin));
    }
    const order = [...wanted].sort((a, b) => a[0] - b[0]);
    for (const [position, row] of this.#rows) {
      if (wanted.has(position)) continue;
      this.#rows.delete(position);
      this.#spare.push(row);
    }

    const { extent, filter } = this.#loader;
    const size = extent.ended ? this.#document.count : -1;
    const columns = this.#document.columns;
    let widest = this.#columns;
    let next: ChildNode | null = null;
    this.#top = 0;
    this.#bottom = 0;
    for (let at = order.length - 1; at >= 0; at--) {
      const [position, from] = order[at]!;
      let row = this.#rows.get(position);
      const fresh = row === undefined;
      if (row === undefined) {
        row = this.#spare.pop() ?? new LogRow();
        row.position = position;
        this.#rows.set(position, row);
      }
      const line = this.#loader.get(position);
      const n = line?.n ?? position;
      const high = this.#document.rowsOf(position);
      if (fresh || rebased || row.from !== from || row.high !== high) {
        row.from = from;
        row.high = high;
        row.place((from - base) * ROW_PX, columns === null && high === 1 ? null : Math.ceil(high) * ROW_PX);
      }
      if (from < last && from + high > first) {
        this.#top = n;
        if (this.#bottom === 0) this.#bottom = n;
      }
      const span = this.#highlight;
      const beside = filter === null ? this.#beside.get(n) : undefined;
      row.fill({
        line,
        size,
        highlighted: span !== null && span.from <= n && n <= span.to,
        head: filter === null ? (this.#heads.get(n) ?? null) : null,
        before: beside?.before ?? NOTHING_BESIDE,
        after: beside?.after ?? NOTHING_BESIDE,
        time: this.#time,
        marks: this.#marks?.of(n) ?? NO_MARKS,
        columns,
        skipped: filter === null || line === undefined ? 0 : this.#skipped(position, line),
        texts: this.#texts,
      });
      widest = Math.max(widest, row.columns);
      if (row.element.nextSibling !== next || row.element.parentNode === null) {
        this.#list.insertBefore(row.element, next);
      }
      next = row.element;
      if (!this.#loader.shown && row.filled) {
        this.#loader.shown = true;
        performance.mark('sf:log-first-text');
      }
    }
    for (const row of this.#spare) row.element.remove();
    this.#spare.length = Math.min(this.#spare.length, 2 * OVERSCAN);
    if (widest !== this.#columns) {
      this.#columns = widest;
      this.#scroller.style.setProperty('--log-columns', String(widest));
    }
  }

  /** How many lines the filter leaves out before this one. */
  #skipped(position: number, line: Line): number {
    if (position === 1) return line.n - 1;
    const before = this.#loader.get(position - 1);
    return before === undefined ? 0 : line.n - before.n - 1;
  }

  #rowOf(node: Node | null): LogRow | null {
    const element = node instanceof Element ? node : node?.parentElement;
    const found = element?.closest('.log-row');
    if (found === null || found === undefined) return null;
    for (const row of this.#rows.values()) if (row.element === found) return row;
    return null;
  }

  /** The line that stands `px` below the top of the view; under a filter the one at the top. */
  #lineUnder(px: number): number {
    if (this.#loader.filter !== null) return this.#top;
    return this.#document.at((this.#map.real + px) / ROW_PX) ?? this.#top;
  }

  #report(): void {
    const { extent } = this.#loader;
    const state: PaneState = {
      following: this.#follow.on,
      unseen: unseen(this.#follow, extent.lines),
      lines: extent.lines,
      filtered: this.#loader.filter === null ? null : this.#loader.filtered,
      empty: extent.lines === 0 && extent.bytes === 0,
      failed: this.#loader.failures > 0,
      waiting: this.#waiting,
      top: this.#top,
      bottom: this.#bottom,
      under: this.#lineUnder(STICKY_PX),
      under2: this.#lineUnder(2 * STICKY_PX),
    };
    const last = this.#last;
    if (last !== null && (Object.keys(state) as (keyof PaneState)[]).every((k) => last[k] === state[k])) {
      return;
    }
    this.#last = state;
    this.#options.onstate(state);
  }
}
