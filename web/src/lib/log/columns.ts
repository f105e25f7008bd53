// How many columns text takes in a monospaced font, by the table that the server counts with.

import * as widths from './widths';

/** First and last character of each run, ascending. */
export function runs(text: string): readonly number[] {
  let at = 0;
  return text.split(' ').map((number) => (at += parseInt(number, 36)));
}

const ZERO = runs(widths.ZERO);
const WIDE = runs(widths.WIDE);

function within(table: readonly number[], code: number): boolean {
  let low = 0;
  let high = table.length / 2;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (table[2 * middle + 1]! < code) low = middle + 1;
    else high = middle;
  }
  return low < table.length / 2 && table[2 * low]! <= code;
}

/** 0, 1 or 2. */
export function columnsOf(code: number): number {
  if (code < 0xad) return 1;
  if (within(ZERO, code)) return 0;
  return code >= 0x1100 && within(WIDE, code) ? 2 : 1;
}

/**
 * Where rows of `columns` begin in `text`, in UTF-16 units: a row holds the characters that begin
 * in its columns. `start`: the column at which the text begins. The result has no 0.
 */
export function breaks(text: string, columns: number, start = 0): number[] {
  const found: number[] = [];
  let column = start;
  let row = Math.floor(start / columns);
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) ?? 0;
    const wide = columnsOf(code);
    const own = Math.floor(column / columns);
    if (own > row && wide > 0) {
      row = own;
      if (at > 0 || start > 0) found.push(at);
    }
    column += wide;
    at += code > 0xffff ? 2 : 1;
  }
  return found;
}

/** The columns of `text`. */
export function columns(text: string): number {
  let sum = 0;
  for (const char of text) sum += columnsOf(char.codePointAt(0) ?? 0);
  return sum;
}
