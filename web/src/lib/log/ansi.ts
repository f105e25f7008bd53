// One line of output -> pieces of text with a style. Colours and styles (SGR) are kept; a carriage
// return, backspace or erase-line leaves the last picture; every other escape is removed. What
// cannot be seen is shown as a symbol. The result is text, never markup.

import { symbol } from '$lib/format/plain';

/** A palette index from 0 to 15, or a colour of its own as `rgb(r,g,b)`. */
export type Colour = number | string;

export interface Style {
  readonly fg: Colour | null;
  readonly bg: Colour | null;
  readonly bold: boolean;
  readonly faint: boolean;
  readonly italic: boolean;
  readonly underline: boolean;
  readonly inverse: boolean;
  readonly strike: boolean;
  readonly conceal: boolean;
}

export interface Segment {
  readonly text: string;
  /** `null`: as the rest of the page. */
  readonly style: Style | null;
  /** A symbol in place of a character that cannot be seen. */
  readonly symbol: boolean;
  /** Where it leads: an http or https address. */
  readonly link?: string;
}

const PLAIN: Style = {
  fg: null,
  bg: null,
  bold: false,
  faint: false,
  italic: false,
  underline: false,
  inverse: false,
  strike: false,
  conceal: false,
};

// CSI with its final byte; OSC up to BEL or ST; DCS, PM, APC, SOS up to ST; other escapes. One that
// does not end on this line matches nothing: its ESC is then shown, and its text is not lost.
const TOKEN =
  /\x1b(?:\[([0-9:;<=>?]*)[ -/]*([@-~])|\]([^\x07\x1b]*)(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]+[0-~]|[0-OQ-WYZ\\`a-~])|([\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb])/g;

const NOTHING_SPECIAL = /^[\t\x20-\x7e\xa0-\u0619\u0620-\u200a\u2010-\u2027\u2030-\u205f\u3000-\ud7ff]*$/;

/** The pieces of `text`, a line without its end. */
export function tokenize(text: string): Segment[] {
  if (text === '') return [];
  if (NOTHING_SPECIAL.test(text)) return [{ text, style: null, symbol: false }];
  // CR before LF is a line end, not an overwrite.
  const line = text.replace(/\r+$/, '');
  return /[\r\b]/.test(line) ? overwritten(line) : straight(line);
}

/** The text of `segments` as it stands on the page. */
export function plainText(segments: readonly Segment[]): string {
  return segments.map((segment) => segment.text).join('');
}

function straight(line: string): Segment[] {
  const out: Segment[] = [];
  let style: Style = PLAIN;
  let link: string | null = null;
  const push = (text: string, isSymbol: boolean) => {
    if (text === '') return;
    const segment = { text, style: style === PLAIN ? null : style, symbol: isSymbol };
    out.push(link === null ? segment : { ...segment, link });
  };
  walk(line, {
    text: (text) => push(text, false),
    link: (to) => (link = to),
    control: (char) => push(symbol(char), true),
    sgr: (params) => (style = sgr(style, params)),
    erase: () => {},
  });
  return out;
}

interface Cell {
  char: string;
  style: Style;
  symbol: boolean;
}

/** The picture that is left when later characters have been put over earlier ones. */
function overwritten(line: string): Segment[] {
  const cells: Cell[] = [];
  let column = 0;
  let style: Style = PLAIN;
  const put = (char: string, isSymbol: boolean) => {
    while (cells.length < column) cells.push({ char: ' ', style: PLAIN, symbol: false });
    cells[column] = { char, style, symbol: isSymbol };
    column += 1;
  };
  walk(line, {
    link: () => {},
    text: (text) => {
      for (const char of text) put(char, false);
    },
    control: (char) => {
      if (char === '\r') column = 0;
      else if (char === '\b') column = Math.max(0, column - 1);
      else put(symbol(char), true);
    },
    sgr: (params) => (style = sgr(style, params)),
    erase: (mode) => {
      if (mode === 0) cells.length = Math.min(cells.length, column);
      if (mode === 2) cells.length = 0;
      if (mode === 1) {
        const end = Math.min(column + 1, cells.length);
        for (let at = 0; at < end; at++) cells[at] = { char: ' ', style: PLAIN, symbol: false };
      }
    },
  });
  const out: Segment[] = [];
  let run: Cell | null = null;
  let text = '';
  const flush = () => {
    if (run === null) return;
    out.push({ text, style: run.style === PLAIN ? null : run.style, symbol: run.symbol });
    text = '';
  };
  for (const cell of cells) {
    if (run === null || cell.style !== run.style || cell.symbol !== run.symbol) {
      flush();
      run = cell;
    }
    text += cell.char;
  }
  flush();
  return out;
}

interface Sink {
  text(text: string): void;
  control(char: string): void;
  sgr(params: string): void;
  erase(mode: number): void;
  /** What follows leads there; `null`: nowhere any more. */
  link(to: string | null): void;
}

function walk(line: string, sink: Sink): void {
  let from = 0;
  for (const match of line.matchAll(TOKEN)) {
    if (match.index > from) sink.text(line.slice(from, match.index));
    from = match.index + match[0].length;
    const [, params, final, osc, control] = match;
    if (control !== undefined) sink.control(control);
    else if (final === 'm' && params !== undefined && !/[<=>?]/.test(params)) sink.sgr(params);
    else if (final === 'K') sink.erase(Number(params ?? 0) || 0);
    else if (osc?.startsWith('8;')) sink.link(webAddress(osc.slice(osc.indexOf(';', 2) + 1)));
  }
  if (from < line.length) sink.text(line.slice(from));
}

/** `text` if it is an http or https address, else `null`. */
export function webAddress(text: string): string | null {
  if (!/^https?:\/\//i.test(text) || text.length > 2083) return null;
  try {
    return new URL(text).href;
  } catch {
    return null;
  }
}

/** `style` after one SGR sequence. Unknown parameters are passed over. */
function sgr(style: Style, params: string): Style {
  let next: Style = style;
  const set = (change: Partial<Style>) => (next = { ...next, ...change });
  const list = params.split(';');
  for (let at = 0; at < list.length; at++) {
    const param = list[at] ?? '';
    const [head = '', ...sub] = param.split(':');
    const code = head === '' ? 0 : Number(head);
    if (code === 38 || code === 48) {
      const values = sub.length > 0 ? sub : list.slice(at + 1);
      const read = colour(values, sub.length > 0);
      if (sub.length === 0) at += read.used;
      if (read.colour !== null) set(code === 38 ? { fg: read.colour } : { bg: read.colour });
    } else if (code === 0) next = PLAIN;
    else if (code === 1) set({ bold: true });
    else if (code === 2) set({ faint: true });
    else if (code === 3) set({ italic: true });
    else if (code === 4) set({ underline: sub[0] !== '0' });
    else if (code === 7) set({ inverse: true });
    else if (code === 8) set({ conceal: true });
    else if (code === 9) set({ strike: true });
    else if (code === 21) set({ underline: true });
    else if (code === 22) set({ bold: false, faint: false });
    else if (code === 23) set({ italic: false });
    else if (code === 24) set({ underline: false });
    else if (code === 27) set({ inverse: false });
    else if (code === 28) set({ conceal: false });
    else if (code === 29) set({ strike: false });
    else if (code >= 30 && code <= 37) set({ fg: code - 30 });
    else if (code === 39) set({ fg: null });
    else if (code >= 40 && code <= 47) set({ bg: code - 40 });
    else if (code === 49) set({ bg: null });
    else if (code >= 90 && code <= 97) set({ fg: code - 90 + 8 });
    else if (code >= 100 && code <= 107) set({ bg: code - 100 + 8 });
  }
  return isPlain(next) ? PLAIN : next;
}

function isPlain(style: Style): boolean {
  return (Object.keys(PLAIN) as (keyof Style)[]).every((key) => style[key] === PLAIN[key]);
}

/** The colour after 38 or 48, and how many parameters it took. */
function colour(values: readonly string[], colons: boolean): { colour: Colour | null; used: number } {
  const kind = values[0];
  if (kind === '5') return { colour: indexed(Number(values[1] ?? '')), used: 2 };
  if (kind !== '2') return { colour: null, used: 1 };
  // With colons a colour space may stand before the three values.
  const from = colons && values.length > 4 ? 2 : 1;
  const rgb = values.slice(from, from + 3).map(Number);
  const valid = rgb.length === 3 && rgb.every((v) => Number.isInteger(v) && v >= 0 && v <= 255);
  return { colour: valid ? `rgb(${rgb.join(',')})` : null, used: 4 };
}

/** A colour of the palette of 256: the theme's own sixteen, a cube of 6×6×6, 24 greys. */
function indexed(index: number): Colour | null {
  if (!Number.isInteger(index) || index < 0 || index > 255) return null;
  if (index < 16) return index;
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10;
    return `rgb(${grey},${grey},${grey})`;
  }
  const level = (value: number) => (value === 0 ? 0 : 55 + value * 40);
  const cube = index - 16;
  const red = level(Math.floor(cube / 36));
  const green = level(Math.floor(cube / 6) % 6);
  const blue = level(cube % 6);
  return `rgb(${red},${green},${blue})`;
}
