import type { Line } from '$lib/api/types';
import type { Colour, Segment, Style } from './ansi';
import { readable } from './contrast';
import { piecesOf, segmentsOf, widthOf, type Mark, type Piece } from './draw';

const MARKER = /^\s*(?:\[[^\]]*\]\s*)?(?:STEP_START|STEP_COMPLETE|STEP_ERROR|STEP_SKIP|ARTIFACT|META|PROGRESS):/;

/** The texts that rows need, in the reader's language. */
export interface RowTexts {
  stderr: string;
  continued: string;
  lossy: string;
  partial: string;
  fold: string;
  unfold: string;
  inspect: string;
  rest(bytes: number): string;
  replaced(times: number): string;
  skipped(lines: number): string;
}

/** What stands in the row at which a step begins. */
export interface StepHead {
  readonly index: number;
  readonly name: string;
  readonly status: string;
  readonly word: string;
  /** Duration, errors, lines. */
  readonly detail: string;
  readonly level: number;
  readonly folded: boolean;
}

/** A row of its own beside a line: output that is missing, or a step without a line of its own. */
export type Beside =
  | { readonly kind: 'gap'; readonly text: string; readonly detail: string }
  | { readonly kind: 'head'; readonly head: StepHead };

export interface RowContent {
  /** `undefined`: not here yet. */
  readonly line: Line | undefined;
  /** How many there are; -1: not known. */
  readonly size: number;
  readonly highlighted: boolean;
  /** The step that begins here. */
  readonly head: StepHead | null;
  /** Rows before the line's own, and behind it. */
  readonly before: readonly Beside[];
  readonly after: readonly Beside[];
  readonly time: ((line: Line) => string) | null;
  readonly marks: readonly Mark[];
  /** Wraps at so many columns; `null`: not. */
  readonly columns: number | null;
  /** Lines that a filter leaves out before this one. */
  readonly skipped: number;
  readonly texts: RowTexts;
}

export const NO_MARKS: readonly Mark[] = [];
export const NOTHING_BESIDE: readonly Beside[] = [];

/** One row; recycled for other lines. */
export class LogRow {
  readonly element = document.createElement('div');
  /** Which line, or which one of those that a filter lets through, from 1. */
  position = 0;
  /** How many columns its text takes. */
  columns = 0;
  /** The row at which it begins, and how many it takes. */
  from = -1;
  high = 1;
  readonly #number = document.createElement('a');
  readonly #text = document.createElement('span');
  #time: HTMLSpanElement | null = null;
  #extras: HTMLElement[] = [];
  #drawn: RowContent | null = null;
  #drawnAt = 0;
  #size = 0;
  #highlighted = false;
  #segments: readonly Segment[] = [];
  #segmentsOf: Line | undefined;

  constructor() {
    this.element.className = 'log-row';
    this.element.setAttribute('role', 'listitem');
    this.element.dataset.testid = 'log-row';
    this.#number.className = 'log-n';
    this.#number.tabIndex = -1;
    this.#text.className = 'log-text';
    this.element.append(this.#number, this.#text);
  }

  /** Whether the line is shown, not a placeholder. */
  get filled(): boolean {
    return this.#drawn?.line !== undefined;
  }

  get line(): Line | undefined {
    return this.#drawn?.line;
  }

  place(y: number, height: number | null): void {
    this.element.style.transform = `translateY(${y}px)`;
    if (height === null) this.element.style.removeProperty('height');
    else this.element.style.setProperty('height', `${height}px`);
  }

  /** The next `fill` draws everything again. */
  stale(): void {
    this.#drawn = null;
  }

  fill(content: RowContent): void {
    if (content.size !== this.#size) {
      this.#size = content.size;
      this.element.setAttribute('aria-setsize', String(content.size));
    }
    if (content.highlighted !== this.#highlighted) {
      this.#highlighted = content.highlighted;
      this.element.classList.toggle('hl', content.highlighted);
    }
    const before = this.#drawn;
    const same =
      before !== null &&
      this.#drawnAt === this.position &&
      before.line === content.line &&
      before.head === content.head &&
      before.before === content.before &&
      before.after === content.after &&
      before.marks === content.marks &&
      before.columns === content.columns &&
      before.skipped === content.skipped &&
      before.time === content.time;
    if (same) return;
    this.#drawn = content;
    this.#drawnAt = this.position;
    this.#draw(content);
  }

  /** How many characters of the line's text stand before a point in the row. */
  offsetOf(node: Node, offset: number): number {
    // A step's name is not its line: the whole line counts.
    if (this.#drawn?.head != null) return node === this.element && offset === 0 ? 0 : Infinity;
    const range = document.createRange();
    range.selectNodeContents(this.#text);
    const side = range.comparePoint(node, offset);
    if (side < 0) return 0;
    if (side > 0) return Infinity;
    range.setEnd(node, offset);
    return range.toString().replaceAll('\n', '').length;
  }

  #draw(content: RowContent): void {
    const { line, head, texts } = content;
    const { element } = this;
    for (const extra of this.#extras) extra.remove();
    this.#extras = [];
    const number = String(line?.n ?? this.position);
    if (this.element.dataset.n !== number) {
      this.#number.textContent = number;
      this.#number.href = `#L${number}`;
      element.dataset.n = number;
      element.setAttribute('aria-posinset', number);
    }
    const level = line?.view?.level;
    element.className = 'log-row';
    element.classList.toggle('hl', this.#highlighted);
    element.classList.toggle('pending', line === undefined);
    element.classList.toggle('stderr', line?.stream === 'stderr');
    element.classList.toggle('context', line?.view?.context === true);
    element.classList.toggle('skipped', content.skipped > 0);
    if (level === 'error' || level === 'warning') element.classList.add(`is-${level}`);
    this.#drawTime(content);
    if (line?.stream === 'stderr') this.#number.title = texts.stderr;
    else this.#number.removeAttribute('title');
    if (head === null) delete element.dataset.step;
    else element.dataset.step = head.status;
    if (content.skipped > 0) {
      const skip = button('log-skip', texts.skipped(content.skipped));
      skip.dataset.act = 'skip';
      this.#append(skip);
    }
    element.style.setProperty('--rows-before', String(content.before.length));
    element.classList.toggle('beside', content.before.length + content.after.length > 0);
    content.before.forEach((one, at) => this.#drawBeside(one, at, texts));
    content.after.forEach((one, at) => this.#drawBeside(one, at - content.after.length, texts));
    if (line === undefined && head === null) {
      this.#text.textContent = '';
      this.columns = 0;
      return;
    }
    if (head !== null) {
      this.#drawHead(head, texts);
      return;
    }
    if (line !== undefined) this.#drawLine(line, content);
  }

  #drawTime({ line, time }: RowContent): void {
    if (time === null) {
      this.#time?.remove();
      this.#time = null;
      return;
    }
    if (this.#time === null) {
      this.#time = document.createElement('span');
      this.#time.className = 'log-time';
      this.#number.after(this.#time);
    }
    this.#time.textContent = line === undefined ? '' : time(line);
  }

  #drawHead(head: StepHead, texts: RowTexts): void {
    const [fold, word, detail] = headParts(head, texts);
    this.element.style.setProperty('--level', String(Math.min(head.level, 8)));
    this.#text.textContent = head.name;
    this.#text.before(fold);
    this.#text.after(word, detail);
    this.#extras.push(fold, word, detail);
    this.columns = 0;
  }

  #drawLine(line: Line, { marks, columns, texts }: RowContent): void {
    if (this.#segmentsOf !== line) {
      this.#segmentsOf = line;
      this.#segments = segmentsOf(line);
    }
    this.element.classList.toggle('marker', MARKER.test(line.text));
    const pieces = piecesOf(this.#segments, marks, columns);
    this.#text.replaceChildren(...pieces.map(node));
    this.columns = widthOf(line);
    if (line.continued) {
      const mark = flag('continued', '↪', texts.continued);
      this.#text.before(mark);
      this.#extras.push(mark);
    }
    if (line.lossy) this.#append(flag('lossy', '\ufffd', texts.lossy));
    if (line.partial) this.#append(flag('partial', '▏', texts.partial));
    const replaced = line.view?.replaced ?? 0;
    const rest = line.rest + (line.view?.hidden ?? 0);
    if (replaced > 0) this.#append(more(texts.replaced(replaced)));
    if (rest > 0) this.#append(more(texts.rest(rest)));
    if (replaced > 0 || rest > 0) this.columns += 30;
    else if (line.partial === false && fieldsIn(line.text)) this.#append(more('{ }', texts.inspect));
  }

  /** `at`: the row from the top, or with a minus sign from the end. */
  #drawBeside(one: Beside, at: number, texts: RowTexts): void {
    const row = document.createElement('div');
    row.className = `log-beside ${one.kind}`;
    if (at < 0) row.style.setProperty('bottom', `${(-at - 1) * 20}px`);
    else row.style.setProperty('top', `${at * 20}px`);
    if (one.kind === 'gap') {
      row.dataset.testid = 'log-gap';
      const detail = document.createElement('span');
      detail.className = 'log-detail';
      detail.textContent = one.detail;
      row.append(one.text, detail);
    } else {
      row.dataset.testid = 'log-head-beside';
      row.dataset.step = one.head.status;
      row.style.setProperty('--level', String(Math.min(one.head.level, 8)));
      const name = document.createElement('span');
      name.className = 'log-text';
      name.textContent = one.head.name;
      const [fold, word, detail] = headParts(one.head, texts);
      row.append(fold, name, word, detail);
    }
    this.#append(row);
  }

  #append(extra: HTMLElement): void {
    this.element.append(extra);
    this.#extras.push(extra);
  }
}

/** Whether the line can be opened as fields: JSON, or at least three of `key=value`. */
export function fieldsIn(text: string): boolean {
  if (text.startsWith('{"') && text.trimEnd().endsWith('}')) return true;
  return /^(?:[\w.-]+=(?:"(?:[^"\\]|\\.)*"|\S*)(?:\s+|$)){3,}$/.test(text);
}

function headParts(head: StepHead, texts: RowTexts): [HTMLButtonElement, HTMLElement, HTMLElement] {
  const fold = button('log-fold', head.folded ? '▸' : '▾');
  fold.dataset.act = 'fold';
  fold.dataset.step = String(head.index);
  fold.setAttribute('aria-expanded', String(!head.folded));
  fold.setAttribute('aria-label', head.folded ? texts.unfold : texts.fold);
  fold.tabIndex = -1;
  const word = document.createElement('span');
  word.className = 'log-word';
  word.textContent = head.word;
  const detail = document.createElement('span');
  detail.className = 'log-detail';
  detail.textContent = head.detail;
  return [fold, word, detail];
}

function button(kind: string, text: string): HTMLButtonElement {
  const made = document.createElement('button');
  made.type = 'button';
  made.className = kind;
  made.textContent = text;
  return made;
}

function more(text: string, label?: string): HTMLButtonElement {
  const made = button('log-more', text);
  made.dataset.act = 'inspect';
  made.tabIndex = -1;
  if (label !== undefined) made.setAttribute('aria-label', label);
  return made;
}

function flag(kind: string, mark: string, title: string): HTMLElement {
  const span = document.createElement('span');
  span.className = `log-flag ${kind}`;
  span.title = title;
  span.setAttribute('role', 'img');
  span.setAttribute('aria-label', title);
  span.textContent = mark;
  return span;
}

/** A text node, or an element with classes; colours of their own go through the CSSOM. */
function node({ text, style, symbol, link, hit, breaks }: Piece): Node {
  const shown = breaks ? `\n${text}` : text;
  if (style === null && !symbol && link === undefined && hit === undefined) {
    return document.createTextNode(shown);
  }
  const element = document.createElement(hit !== undefined ? 'mark' : link !== undefined ? 'a' : 'span');
  element.textContent = shown;
  if (symbol) element.classList.add('sym');
  if (hit !== undefined) element.className = hit === 'current' ? 'log-hit current' : 'log-hit';
  if (style !== null) paint(element, style);
  if (link === undefined) return element;
  const anchor = element instanceof HTMLAnchorElement ? element : document.createElement('a');
  if (anchor !== element) anchor.append(element);
  anchor.href = link;
  anchor.target = '_blank';
  anchor.rel = 'noopener noreferrer';
  anchor.tabIndex = -1;
  // What is written may name another place than the link does.
  if (!link.includes(text)) anchor.title = link;
  return anchor;
}

function paint(element: HTMLElement, style: Style): void {
  let { fg, bg } = style;
  if (style.inverse) {
    [fg, bg] = [bg, fg];
    if (fg === null) element.classList.add('inv-fg');
    if (bg === null) element.classList.add('inv-bg');
  }
  // On a background of its own, text without a colour takes the one that can be read there.
  if (fg === null && bg !== null && !style.inverse) {
    if (typeof bg === 'number') element.classList.add('inv-fg');
    else element.style.setProperty('color', readable('rgb(128,128,128)', bg));
  }
  if (typeof fg === 'string') fg = readable(fg, typeof bg === 'string' ? bg : null);
  colour(element, 'fg', 'color', fg);
  colour(element, 'bg', 'background-color', bg);
  for (const [name, on] of [
    ['bold', style.bold],
    ['faint', style.faint],
    ['italic', style.italic],
    ['under', style.underline],
    ['strike', style.strike],
    ['conceal', style.conceal],
  ] as const) {
    if (on) element.classList.add(name);
  }
}

function colour(element: HTMLElement, kind: string, property: string, value: Colour | null): void {
  if (typeof value === 'number') element.classList.add(`${kind}${value}`);
  else if (value !== null) element.style.setProperty(property, value);
}
