// Brings lines: those in view, and the end of the log while it is followed.

import type { Line, LogLevel, LogRange } from '$lib/api/types';
import type { Extent } from '$lib/live/fold';
import { LineCache, RANGE_LINES, rangeOf } from './cache';

/** Being further behind than this, the follower goes straight to the end. */
const TAIL_SKIP = 400;
const TAIL_LINES = 200;
/** After a jump nothing is asked for until the view has rested this long: a drag passes many. */
const JUMP_REST_MS = 50;
const RETRY_MAX_MS = 15_000;
/** Lines whose style was not known yet are asked for again. */
const AGAIN_MS = 250;

/** Lines that are let through; all others have no row. */
export interface LineFilter {
  readonly levels: readonly LogLevel[];
  readonly stream: 'stderr' | null;
  /** Lines around each. */
  readonly context: number;
}

export interface LoaderOptions {
  fetch(from: number, limit: number, signal: AbortSignal): Promise<LogRange>;
  fetchFiltered(filter: LineFilter, skip: number, limit: number, signal: AbortSignal): Promise<LogRange>;
  /** Something has come. */
  changed(): void;
}

export class LineLoader {
  readonly #options: LoaderOptions;
  #cache = new LineCache();
  readonly #requests = new Map<number, AbortController>();
  readonly #abort = new AbortController();
  #extent: Extent = { lines: 0, bytes: 0, ended: false };
  #partial: Line | null = null;
  /** Ended lines that have a row; never fewer than before. */
  lines = 0;
  /** The last line that the follower has brought, and the output's size then. */
  #tail = 0;
  #tailBytes = -1;
  #tailRequest: AbortController | null = null;
  #filter: LineFilter | null = null;
  #filtered = 0;
  /** The log's size when the filter's total was told. */
  #filteredOf = -1;
  #again: ReturnType<typeof setTimeout> | undefined;
  #rest: ReturnType<typeof setTimeout> | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  failures = 0;
  jumpedAt = -Infinity;
  /** Something has been shown. */
  shown = false;

  constructor(options: LoaderOptions) {
    this.#options = options;
  }

  get extent(): Extent {
    return this.#extent;
  }

  get filter(): LineFilter | null {
    return this.#filter;
  }

  /** How many lines the filter lets through, as far as is known. */
  get filtered(): number {
    return this.#filtered;
  }

  /** How many positions there are. */
  get count(): number {
    if (this.#filter !== null) return this.#filtered;
    return this.lines + (this.#partial !== null && this.#partial.n === this.lines + 1 ? 1 : 0);
  }

  get hasPartial(): boolean {
    return this.#partial !== null;
  }

  grow(extent: Extent): void {
    const { lines, bytes, ended } = this.#extent;
    this.#extent = {
      lines: Math.max(lines, extent.lines),
      bytes: Math.max(bytes, extent.bytes),
      ended: ended || extent.ended,
    };
  }

  /** Every line that is known has a row. */
  showAll(): void {
    this.lines = Math.max(this.lines, this.#extent.lines);
  }

  setFilter(filter: LineFilter | null): void {
    for (const request of this.#requests.values()) request.abort();
    this.#requests.clear();
    this.#tailRequest?.abort();
    this.#tailRequest = null;
    this.#cache = new LineCache();
    this.#filter = filter;
    this.#filtered = 0;
    this.#filteredOf = -1;
    this.#tail = 0;
    this.#tailBytes = -1;
    this.showAll();
  }

  get(position: number): Line | undefined {
    const line = this.#cache.get(position);
    if (line !== undefined || this.#filter !== null) return line;
    return this.#partial?.n === position ? this.#partial : undefined;
  }

  /** Asks for what is missing of `positions`, ascending; drops what nobody waits for any more. */
  request(positions: readonly number[]): void {
    const from = positions[0];
    const to = positions[positions.length - 1];
    if (from === undefined || to === undefined) return;
    const wanted = new Set<number>();
    for (const position of positions) wanted.add(rangeOf(position));
    for (const range of wanted) this.#cache.touch(range * RANGE_LINES + 1, range * RANGE_LINES + 1);
    for (const [range, request] of this.#requests) {
      if (wanted.has(range)) continue;
      request.abort();
      this.#requests.delete(range);
    }
    const rest = JUMP_REST_MS - (performance.now() - this.jumpedAt);
    if (rest > 0 && this.shown) {
      clearTimeout(this.#rest);
      this.#rest = setTimeout(() => this.#options.changed(), rest + 1);
      return;
    }
    if (this.#retry !== undefined) return;
    const total = this.#filter === null ? this.lines : this.#filtered;
    for (const range of wanted) {
      if (this.#requests.has(range)) continue;
      const missing = this.#cache.missing(range, total);
      // A hole outside the view can wait: with follow on, ranges are passed half filled.
      if (missing === null || missing.from > to || missing.to < from) continue;
      const request = new AbortController();
      this.#requests.set(range, request);
      void this.#load(missing.from, missing.to - missing.from + 1, request, () => {
        if (this.#requests.get(range) === request) this.#requests.delete(range);
      });
    }
  }

  /** Brings the end of the log, one request at a time. */
  pump(): void {
    if (this.#tailRequest !== null || this.#retry !== undefined) return;
    const { lines, bytes } = this.#extent;
    if (this.#filter !== null) {
      if (this.#filteredOf >= lines && lines > 0) return;
      const request = (this.#tailRequest = new AbortController());
      void this.#load(this.#filtered + 1, RANGE_LINES, request, () => (this.#tailRequest = null));
      return;
    }
    if (this.#tail >= lines && this.#tailBytes >= bytes) return;
    if (lines === 0 && bytes === 0) return;
    const from = lines - this.#tail > TAIL_SKIP ? lines - TAIL_LINES + 1 : this.#tail + 1;
    const request = (this.#tailRequest = new AbortController());
    void this.#load(from, RANGE_LINES, request, (range) => {
      this.#tailRequest = null;
      if (range === null) return;
      const ended = range.lines.filter((line) => !line.partial);
      this.#tail = Math.max(this.#tail, ended[ended.length - 1]?.n ?? from - 1);
      this.lines = Math.max(this.lines, this.#tail);
      if (this.#tail < range.total_lines) return;
      this.#tailBytes = range.total_bytes;
      this.#partial = range.lines.find((line) => line.partial) ?? null;
    });
  }

  /** The exact lines `from` to `to`, for copying. Brought once more where they are not here. */
  async linesOf(from: number, to: number, signal: AbortSignal): Promise<Line[]> {
    const out: Line[] = [];
    while (from <= to) {
      const known = this.#filter === null ? this.#cache.get(from) : undefined;
      if (known !== undefined) {
        out.push(known);
        from += 1;
        continue;
      }
      const range = await this.#options.fetch(from, Math.min(5000, to - from + 1), signal);
      const lines = range.lines.filter((line) => line.n <= to);
      if (lines.length === 0) break;
      out.push(...lines);
      from = lines[lines.length - 1]!.n + 1;
    }
    return out;
  }

  destroy(): void {
    this.#abort.abort();
    clearTimeout(this.#rest);
    clearTimeout(this.#retry);
    clearTimeout(this.#again);
    for (const request of this.#requests.values()) request.abort();
    this.#tailRequest?.abort();
  }

  async #load(
    from: number,
    limit: number,
    request: AbortController,
    done: (range: LogRange | null) => void,
  ): Promise<void> {
    const filter = this.#filter;
    let range: LogRange | null = null;
    try {
      range =
        filter === null
          ? await this.#options.fetch(from, limit, request.signal)
          : await this.#options.fetchFiltered(filter, from - 1, limit, request.signal);
    } catch {
      if (this.#abort.signal.aborted) return;
    }
    if (request.signal.aborted && range === null) return done(null);
    if (filter !== this.#filter) return;
    if (range !== null) range = this.#take(range, from);
    done(range);
    if (range !== null) this.failures = 0;
    else if (!request.signal.aborted) this.#retryLater();
    this.#options.changed();
  }

  /** `null`: an answer without what was asked for, or it would be asked for for ever. */
  #take(range: LogRange, from: number): LogRange | null {
    const { lines } = this.#extent;
    this.grow({ lines: range.total_lines, bytes: range.total_bytes, ended: range.ended });
    if (this.#filter !== null) {
      this.#cache.putAt(from, range.lines);
      const total = range.filtered?.total ?? 0;
      if (range.filtered?.complete === true) {
        this.#filteredOf = range.total_lines;
        // A half line at the end may have been let through before it was whole.
        this.#filtered = total;
      } else {
        this.#filtered = Math.max(this.#filtered, total);
        this.#later();
      }
      return range;
    }
    const ended = range.lines.filter((line) => !line.partial);
    this.#cache.put(ended);
    const first = ended.find((line) => line.view?.style === null);
    // Shown without a style until the server knows it.
    if (first !== undefined) {
      const count = ended.length - ended.indexOf(first);
      this.#later(() => void this.#load(first.n, count, new AbortController(), () => {}));
    }
    return range.lines.length === 0 && from <= lines ? null : range;
  }

  #later(before: () => void = () => {}): void {
    clearTimeout(this.#again);
    this.#again = setTimeout(() => {
      before();
      this.#options.changed();
    }, AGAIN_MS);
  }

  #retryLater(): void {
    if (this.#retry !== undefined) return;
    const wait = Math.min(RETRY_MAX_MS, 500 * 2 ** this.failures);
    this.failures += 1;
    this.#retry = setTimeout(() => {
      this.#retry = undefined;
      this.#options.changed();
    }, wait);
  }
}
