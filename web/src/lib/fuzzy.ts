// Finds what somebody means by a few letters. Pure.

/** How well `query` fits `text`: higher is better, `null`: not at all. The letters must come in order. */
export function score(query: string, text: string): number | null {
  const wanted = query.toLowerCase().replace(/\s+/g, '');
  if (wanted === '') return 0;
  const lower = text.toLowerCase();
  const whole = query.trim().toLowerCase();
  const at = lower.indexOf(whole);
  const length = Math.min(99, text.length / 4);
  // The words as they are, then initials, then the letters in the middle of a word.
  if (at === 0) return 1000 - length;
  if (at > 0 && begins(text, at)) return 900 - length;
  if (initials(text).includes(wanted)) return 800 - length;
  if (at > 0) return 700 - length;
  let points = 0;
  let from = 0;
  for (const letter of wanted) {
    const found = lower.indexOf(letter, from);
    if (found < 0) return null;
    points += found === from ? 12 : -Math.min(8, found - from);
    if (begins(text, found)) points += 16;
    from = found + letter.length;
  }
  return points - length;
}

/** The first letters of the words of `text`. */
function initials(text: string): string {
  let letters = '';
  for (let at = 0; at < Math.min(text.length, 200); at++) {
    if (isWord(text, at) && begins(text, at)) letters += text[at]!.toLowerCase();
  }
  return letters;
}

function isWord(text: string, at: number): boolean {
  return /[\p{L}\p{N}]/u.test(text[at] ?? '');
}

/** Whether a word begins at `at`: behind something else, or a capital behind a small letter. */
function begins(text: string, at: number): boolean {
  if (at === 0 || !isWord(text, at - 1)) return true;
  return /\p{Lu}/u.test(text[at] ?? '') && /\p{Ll}/u.test(text[at - 1] ?? '');
}

export interface Ranked<T> {
  readonly item: T;
  readonly points: number;
}

/**
 * The best `limit` of `items` for `query`. `recent` lists ids, the latest first: what was used
 * lately comes first among what fits about as well.
 */
export function rank<T extends { readonly id: string; readonly text: string; readonly also?: string }>(
  query: string,
  items: readonly T[],
  recent: readonly string[],
  limit: number,
): T[] {
  const ranked: Ranked<T>[] = [];
  for (const item of items) {
    const own = score(query, item.text);
    const other = item.also === undefined ? null : score(query, item.also);
    // The second text, such as an id, counts for less than the name.
    const best = own ?? (other === null ? null : other - 50);
    if (best === null) continue;
    const place = recent.indexOf(item.id);
    ranked.push({ item, points: best + (place < 0 ? 0 : 60 / (1 + place / 4)) });
  }
  // Array.sort is stable: equal ones keep their order.
  return ranked
    .sort((a, b) => b.points - a.points)
    .slice(0, limit)
    .map(({ item }) => item);
}
