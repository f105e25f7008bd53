// The log: one scrolling list in which only the rows in view exist. No framework: rows change many
// times a second, and each change touches only the nodes that differ.

import type { Line, LogRange } from '$lib/api/types';
import type { Extent } from '$lib/live/fold';
import { plainText, tokenize } from './ansi';
import { LineCache, RANGE_LINES, rangeOf } from './cache';
import { follow, FOLLOW_OFF, unseen, type Follow, type Intent } from './follow';
import { LogRow } from './row';
import { ScrollMap } from './scroll-map';

export const ROW_PX = 20;
/** Rows mounted on either side of the view. */
const OVERSCAN = 10;
/** Rows are placed relative to a row whose number is a multiple of this. */
const BASE_ROWS = 50_000;
/** Being further behind than this, the follower goes straight to the end. */
const TAIL_SKIP = 400;
const TAIL_LINES = 200;
/** After a jump nothing is asked for until the view has rested this long: a drag passes many. */
const JUMP_REST_MS = 50;
const IDLE_MS = 150;
const RETRY_MAX_MS = 15_000;

/** The texts that rows need, in the reader's language. */
export interface PaneTexts {
  rows: string;
  stderr: string;
  continued: string;
  lossy: string;
  partial: string;
  rest(bytes: number): string;
}

export interface PaneState {
  readonly following: boolean;
  /** Lines that came while not following. */
  readonly unseen: number;
  readonly lines: number;
  /** Nothing at all has been printed, as far as is known. */
  readonly empty: boolean;
  /** The last request failed; it is being tried again. */
  readonly failed: boolean;
  /** The line that was asked for and does not exist yet. */
  readonly waiting: number | null;
}

export interface LineSpan {
  readonly from: number;
  readonly to: number;
}

export interface PaneOptions {
  readonly rawUrl: string;
  readonly texts: PaneTexts;
  fetch(from: number, limit: number, signal: AbortSignal): Promise<LogRange>;
  onstate(state: PaneState): void;
  /** A line's number was pressed; `extend`: with shift. */
  online(n: number, extend: boolean): void;
}

export class LogPane {
  readonly #scroller: HTMLElement;
  readonly #spacer = document.createElement('div');
  readonly #list = document.createElement('div');
  readonly #options: PaneOptions;
  readonly #map = new ScrollMap();
  readonly #cache = new LineCache();
  readonly #rows = new Map<number, LogRow>();
  readonly #spare: LogRow[] = [];
  readonly #requests = new Map<number, AbortController>();
  readonly #abort = new AbortController();
  readonly #resize: ResizeObserver;
  #texts: PaneTexts;
  #extent: Extent = { lines: 0, bytes: 0, ended: false };
  /** Ended lines that have a row; never fewer than before. */
  #lines = 0;
  #partial: Line | null = null;
  /** The last line that the follower has brought, and the output's size then. */
  #tail = 0;
  #tailBytes = -1;
  #tailRequest: AbortController | null = null;
  #follow: Follow = FOLLOW_OFF;
  #waiting: number | null = null;
  #highlight: LineSpan | null = null;
  #starts: ReadonlyMap<number, string> = new Map();
  #time: ((line: Line) => string) | null = null;
  #base = 0;
  #columns = 0;
  #digits = 0;
  #pins: readonly number[] = [];
  #frame = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #jumpedAt = -Infinity;
  #byReader = false;
  #shown = false;
  #known = false;
  #touchY = 0;
  #last: PaneState | null = null;

  /** Builds the log inside `scroller`, which scrolls, has a height, and can have the focus. */
  constructor(scroller: HTMLElement, options: PaneOptions) {
    this.#scroller = scroller;
    this.#options = options;
    this.#texts = options.texts;
    this.#spacer.className = 'log-spacer';
    this.#list.className = 'log-list';
    this.#list.setAttribute('role', 'list');
    this.#list.setAttribute('aria-label', options.texts.rows);
    this.#spacer.append(this.#list);
    scroller.append(this.#spacer);
    this.#resize = new ResizeObserver(() => this.#schedule());
    this.#resize.observe(scroller);
    this.#watch();
  }

  /** The log is known to have come this far. */
  setExtent(extent: Extent): void {
    const { lines, bytes, ended } = this.#extent;
    // What was there when the log was opened is not new.
    if (!this.#known) this.#follow = { on: this.#follow.on, seen: extent.lines };
    this.#known = true;
    this.#extent = {
      lines: Math.max(lines, extent.lines),
      bytes: Math.max(bytes, extent.bytes),
      ended: ended || extent.ended,
    };
    this.#schedule();
  }

  /** The lines at which steps begin, each with its step's status. */
  setStarts(starts: ReadonlyMap<number, string>): void {
    this.#starts = starts;
    this.#schedule();
  }

  /** What the time column shows; `null`: no column. */
  setTime(time: ((line: Line) => string) | null): void {
    this.#time = time;
    this.#scroller.classList.toggle('with-time', time !== null);
    this.#refill();
  }

  setTexts(texts: PaneTexts): void {
    this.#texts = texts;
    this.#list.setAttribute('aria-label', texts.rows);
    this.#refill();
  }

  setHighlight(span: LineSpan | null): void {
    this.#highlight = span;
    this.#schedule();
  }

  /** What the reader wants of following, by other means than the log itself. */
  intend(intent: Intent): void {
    this.#waiting = null;
    this.#intend(intent);
    if (this.#follow.on) this.#toEnd();
  }

  /** Shows line `n` a third down the view. One that does not exist yet is waited for. */
  goto(n: number): void {
    this.#intend('line');
    const known = this.#extent.lines + (this.#partial === null ? 0 : 1);
    this.#waiting = n > known && !this.#extent.ended ? n : null;
    this.#lines = Math.max(this.#lines, this.#extent.lines);
    this.#measure();
    const above = Math.max(0, this.#scroller.clientHeight / 3 - ROW_PX);
    this.#setTop(this.#map.goto((Math.max(1, n) - 1) * ROW_PX - above));
    this.#schedule();
  }

  destroy(): void {
    this.#abort.abort();
    this.#resize.disconnect();
    cancelAnimationFrame(this.#frame);
    clearTimeout(this.#idle);
    clearTimeout(this.#rest);
    clearTimeout(this.#retry);
    for (const request of this.#requests.values()) request.abort();
    this.#tailRequest?.abort();
    this.#spacer.remove();
  }

  // What the reader does.

  #watch(): void {
    const scroller = this.#scroller;
    const { signal } = this.#abort;
    const passive = { passive: true, signal };
    scroller.addEventListener('scroll', () => this.#scrolled(), passive);
    scroller.addEventListener(
      'wheel',
      (event) => {
        this.#byReader = true;
        if (event.deltaY < 0 && this.#map.realMax > 0) this.#intend('scroll-up');
      },
      passive,
    );
    scroller.addEventListener(
      'touchstart',
      (event) => (this.#touchY = event.touches[0]?.clientY ?? 0),
      passive,
    );
    scroller.addEventListener(
      'touchmove',
      (event) => {
        this.#byReader = true;
        if ((event.touches[0]?.clientY ?? 0) > this.#touchY) this.#intend('scroll-up');
      },
      passive,
    );
    scroller.addEventListener(
      'pointerdown',
      (event) => {
        // Beside the content box is the scrollbar.
        if (event.target !== scroller || event.offsetX < scroller.clientWidth) return;
        this.#byReader = true;
        this.#intend('scrollbar');
      },
      passive,
    );
    scroller.addEventListener('keydown', (event) => this.#key(event), { signal });
    this.#list.addEventListener('click', (event) => this.#click(event), { signal });
    scroller.addEventListener('copy', (event) => this.#copy(event), { signal });
    document.addEventListener('selectionchange', () => this.#selected(), { signal });
    document.addEventListener('visibilitychange', () => this.#schedule(), { signal });
  }

  #key(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target !== this.#scroller) return;
    this.#byReader = true;
    switch (event.key) {
      case 'End':
        event.preventDefault();
        this.#intend('end');
        this.#toEnd();
        break;
      case 'Home':
        event.preventDefault();
        this.#intend('scroll-up');
        this.#setTop(this.#map.goto(0));
        this.#schedule();
        break;
      case 'ArrowUp':
      case 'PageUp':
        this.#intend('scroll-up');
        break;
      case ' ':
        if (event.shiftKey) this.#intend('scroll-up');
        break;
    }
  }

  #click(event: MouseEvent): void {
    if (event.button !== 0 || event.ctrlKey || event.metaKey) return;
    const target = event.target as Element;
    if (!target.classList.contains('log-n')) return;
    const row = this.#rowOf(target);
    if (row === null) return;
    event.preventDefault();
    event.stopPropagation();
    this.#intend('line');
    this.#options.online(row.index + 1, event.shiftKey);
  }

  #selected(): void {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed || !this.#list.contains(selection.anchorNode)) {
      if (this.#pins.length > 0) {
        this.#pins = [];
        this.#schedule();
      }
      return;
    }
    this.#intend('select');
    const ends = [this.#rowOf(selection.anchorNode), this.#rowOf(selection.focusNode)];
    // Rows with an end of the selection stay mounted when they scroll away, or it would be lost.
    this.#pins = ends.flatMap((row) => (row === null ? [] : [row.index]));
  }

  #copy(event: ClipboardEvent): void {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed || event.clipboardData === null) return;
    const range = selection.getRangeAt(0);
    const first = this.#rowOf(range.startContainer);
    const last = this.#rowOf(range.endContainer);
    if (first === null || last === null) return;
    const start = first.offsetOf(range.startContainer, range.startOffset);
    const end = last.offsetOf(range.endContainer, range.endOffset);
    const lines: string[] = [];
    for (let index = first.index; index <= last.index; index++) {
      const line = this.#line(index);
      if (line === undefined) return; // Not all of it is here: the browser copies what is.
      let text = plainText(tokenize(line.text));
      if (index === last.index) text = text.slice(0, end);
      if (index === first.index) text = text.slice(start);
      lines.push(text);
    }
    event.clipboardData.setData('text/plain', lines.join('\n'));
    event.preventDefault();
  }

  #intend(intent: Intent): void {
    if (intent !== 'line') this.#waiting = null;
    const before = this.#follow;
    this.#follow = follow(before, intent, this.#extent.lines);
    if (this.#follow !== before) this.#schedule();
  }

  #toEnd(): void {
    this.#lines = Math.max(this.#lines, this.#extent.lines);
    this.#measure();
    this.#setTop(this.#map.goto(this.#map.realMax));
    this.#schedule();
  }

  // Where the view is.

  #scrolled(): void {
    const before = this.#map.real;
    const put = this.#map.scrolled(this.#scroller.scrollTop);
    if (put !== null) this.#setTop(put);
    if (Math.abs(this.#map.real - before) > 4 * this.#scroller.clientHeight) {
      this.#jumpedAt = performance.now();
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
    if (near && !this.#extent.ended) this.#intend('rest-at-end');
  }

  #setTop(top: number): void {
    if (Math.abs(this.#scroller.scrollTop - top) >= 1) this.#scroller.scrollTop = top;
  }

  get #rowCount(): number {
    return this.#lines + (this.#partial !== null && this.#partial.n === this.#lines + 1 ? 1 : 0);
  }

  /** Makes the spacer as high as the rows need. */
  #measure(): void {
    const height = this.#map.height;
    const view = this.#scroller.clientHeight;
    const top = this.#map.resize(this.#rowCount * ROW_PX + ROW_PX / 2, view);
    if (this.#map.height !== height) this.#spacer.style.height = `${this.#map.height}px`;
    const digits = Math.max(4, String(this.#rowCount).length);
    if (digits !== this.#digits) {
      this.#digits = digits;
      this.#scroller.style.setProperty('--log-digits', String(digits));
    }
    this.#setTop(top);
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
    if (!this.#follow.on) this.#lines = Math.max(this.#lines, this.#extent.lines);
    this.#measure();
    if (this.#waiting !== null && this.#waiting <= this.#extent.lines) {
      const n = this.#waiting;
      this.#waiting = null;
      this.goto(n);
    }
    if (this.#follow.on) this.#setTop(this.#map.goto(this.#map.realMax));
    const { real } = this.#map;
    const count = this.#rowCount;
    const first = Math.floor(real / ROW_PX);
    const last = Math.ceil((real + this.#scroller.clientHeight) / ROW_PX);
    const from = Math.max(0, first - OVERSCAN);
    const to = Math.min(count, last + OVERSCAN);
    this.#mount(from, to, first);
    this.#request(from, Math.min(to, this.#lines));
    this.#pump(last >= count);
    this.#report();
  }

  /** Mounts exactly the rows `from` to `to` (not included) and those that are pinned. */
  #mount(from: number, to: number, first: number): void {
    const base = Math.floor(first / BASE_ROWS) * BASE_ROWS;
    const rebased = base !== this.#base;
    this.#base = base;
    this.#list.style.transform = `translateY(${base * ROW_PX - this.#map.offset}px)`;

    const wanted: number[] = [];
    for (let index = from; index < to; index++) wanted.push(index);
    for (const pin of this.#pins) {
      if ((pin < from || pin >= to) && this.#rows.has(pin) && !wanted.includes(pin)) wanted.push(pin);
    }
    wanted.sort((a, b) => a - b);
    const keep = new Set(wanted);
    for (const [index, row] of this.#rows) {
      if (keep.has(index)) continue;
      this.#rows.delete(index);
      this.#spare.push(row);
    }

    const size = this.#extent.ended ? this.#rowCount : -1;
    let columns = this.#columns;
    let next: ChildNode | null = null;
    for (let at = wanted.length - 1; at >= 0; at--) {
      const index = wanted[at]!;
      let row = this.#rows.get(index);
      const fresh = row === undefined;
      if (row === undefined) {
        row = this.#spare.pop() ?? new LogRow();
        row.index = index;
        this.#rows.set(index, row);
      }
      if (fresh || rebased) row.place((index - base) * ROW_PX);
      const span = this.#highlight;
      row.fill({
        line: this.#line(index),
        size,
        highlighted: span !== null && span.from <= index + 1 && index + 1 <= span.to,
        start: this.#starts.get(index + 1) ?? null,
        time: this.#time,
        texts: this.#texts,
        rawUrl: this.#options.rawUrl,
      });
      columns = Math.max(columns, row.columns);
      if (row.element.nextSibling !== next || row.element.parentNode === null) {
        this.#list.insertBefore(row.element, next);
      }
      next = row.element;
      if (!this.#shown && row.filled) {
        this.#shown = true;
        performance.mark('sf:log-first-text');
      }
    }
    for (const row of this.#spare) row.element.remove();
    this.#spare.length = Math.min(this.#spare.length, 2 * OVERSCAN);
    if (columns !== this.#columns) {
      this.#columns = columns;
      this.#scroller.style.setProperty('--log-columns', String(columns));
    }
  }

  #line(index: number): Line | undefined {
    const line = this.#cache.get(index + 1);
    if (line !== undefined) return line;
    return this.#partial?.n === index + 1 ? this.#partial : undefined;
  }

  #rowOf(node: Node | null): LogRow | null {
    const element = node instanceof Element ? node : node?.parentElement;
    const found = element?.closest('.log-row');
    if (found === null || found === undefined) return null;
    for (const row of this.#rows.values()) if (row.element === found) return row;
    return null;
  }

  #report(): void {
    const state: PaneState = {
      following: this.#follow.on,
      unseen: unseen(this.#follow, this.#extent.lines),
      lines: this.#extent.lines,
      empty: this.#extent.lines === 0 && this.#extent.bytes === 0,
      failed: this.#failures > 0,
      waiting: this.#waiting,
    };
    const last = this.#last;
    if (last !== null && (Object.keys(state) as (keyof PaneState)[]).every((k) => last[k] === state[k])) {
      return;
    }
    this.#last = state;
    this.#options.onstate(state);
  }

  // Fetching.

  /** Asks for what is missing of the rows `from` to `to`; drops what nobody waits for any more. */
  #request(from: number, to: number): void {
    if (to <= from) return;
    this.#cache.touch(from + 1, to);
    const first = rangeOf(from + 1);
    const last = rangeOf(to);
    for (const [index, request] of this.#requests) {
      if (index >= first && index <= last) continue;
      request.abort();
      this.#requests.delete(index);
    }
    const rest = JUMP_REST_MS - (performance.now() - this.#jumpedAt);
    if (rest > 0 && this.#shown) {
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => this.#schedule(), rest + 1);
      return;
    }
    if (this.#retry !== undefined) return;
    for (let index = first; index <= last; index++) {
      if (this.#requests.has(index)) continue;
      const missing = this.#cache.missing(index, this.#lines);
      // A hole outside the view can wait: with follow on, ranges are passed half filled.
      if (missing === null || missing.from > to || missing.to <= from) continue;
      const request = new AbortController();
      this.#requests.set(index, request);
      void this.#load(missing.from, missing.to - missing.from + 1, request, () => {
        if (this.#requests.get(index) === request) this.#requests.delete(index);
      });
    }
  }

  /** Brings the end of the log, one request at a time, while it is followed or in view. */
  #pump(endInView: boolean): void {
    if (!(this.#follow.on || endInView) || this.#tailRequest !== null) return;
    if (this.#retry !== undefined) return;
    const { lines, bytes } = this.#extent;
    if (this.#tail >= lines && this.#tailBytes >= bytes) return;
    if (lines === 0 && bytes === 0) return;
    const from = lines - this.#tail > TAIL_SKIP ? lines - TAIL_LINES + 1 : this.#tail + 1;
    const request = new AbortController();
    this.#tailRequest = request;
    void this.#load(from, RANGE_LINES, request, (range) => {
      this.#tailRequest = null;
      if (range === null) return;
      const ended = range.lines.filter((line) => !line.partial);
      this.#tail = Math.max(this.#tail, ended[ended.length - 1]?.n ?? from - 1);
      this.#lines = Math.max(this.#lines, this.#tail);
      if (this.#tail < range.total_lines) return;
      this.#tailBytes = range.total_bytes;
      this.#partial = range.lines.find((line) => line.partial) ?? null;
    });
  }

  async #load(
    from: number,
    limit: number,
    request: AbortController,
    done: (range: LogRange | null) => void,
  ): Promise<void> {
    let range: LogRange | null = null;
    try {
      range = await this.#options.fetch(from, limit, request.signal);
    } catch {
      if (this.#abort.signal.aborted) return;
    }
    if (range !== null) {
      this.#cache.put(range.lines.filter((line) => !line.partial));
      const { lines, bytes, ended } = this.#extent;
      this.#extent = {
        lines: Math.max(lines, range.total_lines),
        bytes: Math.max(bytes, range.total_bytes),
        ended: ended || range.ended,
      };
      const first = range.lines[0];
      // An answer without what was asked for is a failure too, or it would be asked for ever.
      if (first === undefined && from <= lines) range = null;
    }
    done(range);
    if (range !== null) this.#failures = 0;
    else if (!request.signal.aborted) this.#retryLater();
    this.#schedule();
  }

  #retryLater(): void {
    if (this.#retry !== undefined) return;
    const wait = Math.min(RETRY_MAX_MS, 500 * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#schedule();
    }, wait);
  }
}
