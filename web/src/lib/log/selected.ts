// Text selected over rows, also where they have scrolled out of the view, and its copy.

import type { Line } from '$lib/api/types';
import { segmentsOf } from './draw';
import type { LineSpan } from './pane';
import type { LogRow } from './row';

/** A longer selection is offered as a download. */
export const COPY_LINES_MAX = 50_000;

export interface SelectedSink {
  rowOf(node: Node | null): LogRow | null;
  linesOf(from: number, to: number, signal: AbortSignal): Promise<Line[]>;
  /** The line, if it is here; never under a filter. */
  cached(n: number): Line | undefined;
  /** Text was selected. */
  intend(): void;
  changed(): void;
  toolong(span: LineSpan): void;
}

interface Ends {
  readonly first: LogRow;
  readonly last: LogRow;
  readonly start: number;
  readonly end: number;
}

/** The text of a line as it is copied. */
export function plain(line: Line): string {
  return segmentsOf(line)
    .map((one) => one.text)
    .join('');
}

export class Selected {
  readonly #list: HTMLElement;
  readonly #sink: SelectedSink;
  readonly #signal: AbortSignal;
  /** Rows with an end of the selection stay mounted when they scroll away, or it would be lost. */
  pins: readonly number[] = [];

  constructor(scroller: HTMLElement, list: HTMLElement, signal: AbortSignal, sink: SelectedSink) {
    this.#list = list;
    this.#sink = sink;
    this.#signal = signal;
    scroller.addEventListener('copy', (event) => this.#copy(event), { signal });
    document.addEventListener('selectionchange', () => this.#changed(), { signal });
  }

  span(): LineSpan | null {
    const ends = this.#ends();
    if (ends === null) return null;
    return { from: number(ends.first), to: number(ends.last) };
  }

  #changed(): void {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed || !this.#list.contains(selection.anchorNode)) {
      if (this.pins.length > 0) {
        this.pins = [];
        this.#sink.changed();
      }
      return;
    }
    this.#sink.intend();
    const ends = [this.#sink.rowOf(selection.anchorNode), this.#sink.rowOf(selection.focusNode)];
    this.pins = ends.flatMap((row) => (row === null ? [] : [row.position]));
  }

  #ends(): Ends | null {
    const selection = document.getSelection();
    if (selection === null || selection.isCollapsed || selection.rangeCount === 0) return null;
    const range = selection.getRangeAt(0);
    const first = this.#sink.rowOf(range.startContainer);
    const last = this.#sink.rowOf(range.endContainer);
    if (first === null || last === null) return null;
    return {
      first,
      last,
      start: first.offsetOf(range.startContainer, range.startOffset),
      end: last.offsetOf(range.endContainer, range.endOffset),
    };
  }

  #copy(event: ClipboardEvent): void {
    const ends = this.#ends();
    if (ends === null || event.clipboardData === null) return;
    const from = number(ends.first);
    const to = number(ends.last);
    const lines: Line[] = [];
    for (let n = from; n <= to && lines.length <= COPY_LINES_MAX; n++) {
      const line = this.#sink.cached(n);
      if (line === undefined) break;
      lines.push(line);
    }
    event.preventDefault();
    if (to - from >= COPY_LINES_MAX) {
      this.#sink.toolong({ from, to });
      return;
    }
    if (lines.length === to - from + 1) {
      event.clipboardData.setData('text/plain', text(lines, ends));
      return;
    }
    // Some of it was never here: it is brought, and the browser is given it as a promise.
    const bring = this.#sink.linesOf(from, to, this.#signal).then((all) => text(all, ends));
    if (typeof ClipboardItem === 'function' && navigator.clipboard !== undefined) {
      const blob = bring.then((all) => new Blob([all], { type: 'text/plain' }));
      navigator.clipboard.write([new ClipboardItem({ 'text/plain': blob })]).catch(() => {
        this.#sink.toolong({ from, to });
      });
    } else this.#sink.toolong({ from, to });
  }
}

function number(row: LogRow): number {
  return row.line?.n ?? row.position;
}

function text(lines: readonly Line[], { start, end }: Ends): string {
  return lines
    .map((line, at) => {
      let one = plain(line);
      if (at === lines.length - 1 && end !== Infinity) one = one.slice(0, end);
      if (at === 0) one = one.slice(start);
      return one;
    })
    .join('\n');
}
