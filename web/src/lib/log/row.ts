import type { Line } from '$lib/api/types';
import { tokenize, type Colour, type Segment, type Style } from './ansi';
import type { PaneTexts } from './pane';

/** Of a longer line the page shows this much and a link to the rest. */
export const SHOWN_MAX = 16_384;

const MARKER = /^\s*(?:\[[^\]]*\]\s*)?(?:STEP_START|STEP_COMPLETE|STEP_ERROR|ARTIFACT|META):/;

export interface RowContent {
  /** `undefined`: not here yet. */
  readonly line: Line | undefined;
  readonly size: number;
  readonly highlighted: boolean;
  /** The status of the step that begins here. */
  readonly start: string | null;
  readonly time: ((line: Line) => string) | null;
  readonly texts: PaneTexts;
  readonly rawUrl: string;
}

/** One row; recycled for other lines. */
export class LogRow {
  readonly element = document.createElement('div');
  index = -1;
  /** How many columns its text takes. */
  columns = 0;
  readonly #number = document.createElement('a');
  readonly #text = document.createElement('span');
  #time: HTMLSpanElement | null = null;
  #extras: HTMLElement[] = [];
  #line: Line | undefined;
  #drawn = -1;
  #size = 0;
  #highlighted = false;
  #start: string | null = null;

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
    return this.#line !== undefined;
  }

  place(y: number): void {
    this.element.style.transform = `translateY(${y}px)`;
  }

  /** The next `fill` draws everything again. */
  stale(): void {
    this.#drawn = -1;
  }

  fill(content: RowContent): void {
    const n = this.index + 1;
    if (content.size !== this.#size) {
      this.#size = content.size;
      this.element.setAttribute('aria-setsize', String(content.size));
    }
    if (content.highlighted !== this.#highlighted) {
      this.#highlighted = content.highlighted;
      this.element.classList.toggle('hl', content.highlighted);
    }
    if (content.start !== this.#start) {
      this.#start = content.start;
      if (content.start === null) delete this.element.dataset.step;
      else this.element.dataset.step = content.start;
    }
    if (this.#drawn === n && this.#line === content.line) return;
    const renumber = this.#drawn !== n;
    this.#drawn = n;
    this.#line = content.line;
    if (renumber) {
      const number = String(n);
      this.#number.textContent = number;
      this.#number.href = `#L${number}`;
      this.element.dataset.n = number;
      this.element.setAttribute('aria-posinset', number);
    }
    this.#draw(content);
  }

  /** How many characters of the line's text stand before a point in the row. */
  offsetOf(node: Node, offset: number): number {
    const range = document.createRange();
    range.selectNodeContents(this.#text);
    const side = range.comparePoint(node, offset);
    if (side < 0) return 0;
    if (side > 0) return Infinity;
    range.setEnd(node, offset);
    return range.toString().length;
  }

  #draw({ line, time, texts, rawUrl }: RowContent): void {
    const { element } = this;
    const text = this.#text;
    for (const extra of this.#extras) extra.remove();
    this.#extras = [];
    element.classList.toggle('pending', line === undefined);
    element.classList.toggle('stderr', line?.stream === 'stderr');
    if (time === null) {
      this.#time?.remove();
      this.#time = null;
    } else {
      if (this.#time === null) {
        this.#time = document.createElement('span');
        this.#time.className = 'log-time';
        this.#number.after(this.#time);
      }
      this.#time.textContent = line === undefined ? '' : time(line);
    }
    if (line === undefined) {
      text.textContent = '';
      this.columns = 0;
      element.classList.remove('marker');
      this.#number.removeAttribute('title');
      return;
    }
    if (line.stream === 'stderr') this.#number.title = texts.stderr;
    else this.#number.removeAttribute('title');
    const cut = line.text.length > SHOWN_MAX;
    const segments = tokenize(cut ? line.text.slice(0, SHOWN_MAX) : line.text);
    element.classList.toggle('marker', MARKER.test(line.text));
    text.replaceChildren(...segments.map(node));
    this.columns = segments.reduce((sum, segment) => sum + width(segment.text), 0);
    if (line.continued) {
      const mark = flag('continued', '↪', texts.continued);
      text.before(mark);
      this.#extras.push(mark);
    }
    if (line.lossy) this.#append(flag('lossy', '\ufffd', texts.lossy));
    if (line.partial) this.#append(flag('partial', '▏', texts.partial));
    const rest = line.rest + (cut ? line.text.length - SHOWN_MAX : 0);
    if (rest > 0) {
      const link = document.createElement('a');
      link.className = 'log-rest';
      link.href = rawUrl;
      link.target = '_blank';
      link.rel = 'noopener noreferrer';
      link.textContent = texts.rest(rest);
      this.#append(link);
      this.columns += 44;
    }
  }

  #append(extra: HTMLElement): void {
    this.element.append(extra);
    this.#extras.push(extra);
  }
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

/** A text node, or a span with classes; colours of their own go through the CSSOM. */
function node({ text, style, symbol }: Segment): Node {
  if (style === null && !symbol) return document.createTextNode(text);
  const span = document.createElement('span');
  span.textContent = text;
  if (symbol) span.classList.add('sym');
  if (style !== null) paint(span, style);
  return span;
}

function paint(span: HTMLElement, style: Style): void {
  let { fg, bg } = style;
  if (style.inverse) {
    [fg, bg] = [bg, fg];
    if (fg === null) span.classList.add('inv-fg');
    if (bg === null) span.classList.add('inv-bg');
  }
  // On a background of its own, text without a colour takes the one that can be read there.
  if (fg === null && bg !== null && !style.inverse) {
    if (typeof bg === 'number') span.classList.add('inv-fg');
    else span.style.setProperty('color', isLight(bg) ? '#101418' : '#f6f8f9');
  }
  colour(span, 'fg', 'color', fg);
  colour(span, 'bg', 'background-color', bg);
  if (style.bold) span.classList.add('bold');
  if (style.faint) span.classList.add('faint');
  if (style.italic) span.classList.add('italic');
  if (style.underline) span.classList.add('under');
  if (style.strike) span.classList.add('strike');
}

function colour(span: HTMLElement, kind: string, property: string, value: Colour | null): void {
  if (typeof value === 'number') span.classList.add(`${kind}${value}`);
  else if (value !== null) span.style.setProperty(property, value);
}

/** Whether dark text is read better on `rgb(r,g,b)` than light text. */
function isLight(rgb: string): boolean {
  const [r = 0, g = 0, b = 0] = (rgb.match(/\d+/g) ?? []).map(Number);
  return 0.299 * r + 0.587 * g + 0.114 * b > 140;
}

/** Columns of `text` in a monospaced font: wide characters take two, a tab up to eight. */
export function width(text: string): number {
  let columns = 0;
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    if (char === '\t') columns += 8 - (columns % 8);
    else columns += code >= 0x1100 && WIDE.test(char) ? 2 : 1;
  }
  return columns;
}

const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

