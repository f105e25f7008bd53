/** Digits as a dump: the offset, sixteen bytes, what of them can be read. */
export function hexRows(hex: string): string {
  const rows: string[] = [];
  for (let at = 0; at < hex.length; at += 32) {
    const bytes = hex.slice(at, at + 32).match(/../g) ?? [];
    const text = bytes
      .map((pair) => parseInt(pair, 16))
      .map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.'))
      .join('');
    const offset = (at / 2).toString(16).padStart(8, '0');
    rows.push(`${offset}  ${bytes.join(' ').padEnd(47)}  ${text}`);
  }
  return rows.join('\n');
}
