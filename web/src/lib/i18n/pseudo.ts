// A language that nobody speaks: English with accents and 40 % more letters. Tests look with it for
// texts that are cut, and for texts that are in no catalogue.

const ACCENTS: Readonly<Record<string, string>> = {
  a: 'á', e: 'é', i: 'í', o: 'ó', u: 'ú', n: 'ñ', c: 'ç', A: 'Á', E: 'É', O: 'Ó', S: 'Š',
};

/** `text` in the pseudo-language; `{holes}` stay as they are. */
export function pseudo(text: string): string {
  const words = text.replace(/\{\w+\}|[aeiouncAEOS]/g, (found) => ACCENTS[found] ?? found);
  const letters = text.replace(/\{\w+\}/g, '').length;
  const more = Math.ceil(letters * 0.4);
  if (more === 0) return words;
  // In words, as a language has them: one long one would break where no real text does.
  const filler = 'lorem ipsum dolor '.repeat(Math.ceil(more / 18)).slice(0, more).trimEnd();
  return `${words} ${filler}`;
}
