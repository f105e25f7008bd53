// Characters that move, hide or turn text round are shown as symbols: a name or a line of output
// must look like what it is.

const HIDDEN =
  /[\u0000-\u0008\u000a-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/g;

/** Whether `text` has a character that cannot be seen. */
export function hasHidden(text: string): boolean {
  HIDDEN.lastIndex = 0;
  return HIDDEN.test(text);
}

/** The symbol for one such character: caret notation, or its number. */
export function symbol(char: string): string {
  const code = char.codePointAt(0) ?? 0;
  if (code < 0x20 || code === 0x7f) return `^${String.fromCharCode(code ^ 0x40)}`;
  return `<${code.toString(16).toUpperCase().padStart(4, '0')}>`;
}

/** `text` with every hidden character replaced by its symbol. */
export function visible(text: string): string {
  return text.replace(HIDDEN, symbol);
}
