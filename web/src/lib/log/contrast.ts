// Colours that a script chose are moved until they can be read on the log's background.

/** What WCAG asks of text. */
export const CONTRAST_MIN = 4.5;

type Rgb = readonly [number, number, number];

let ground: Rgb = [255, 255, 255];
let correcting = true;

/** The log's background, as `rgb(r, g, b)`, and whether colours are moved at all. */
export function setGround(colour: string, correct: boolean): void {
  ground = parse(colour) ?? ground;
  correcting = correct;
}

function parse(colour: string): Rgb | null {
  const found = colour.match(/\d+(?:\.\d+)?/g)?.slice(0, 3).map(Number);
  return found?.length === 3 ? [found[0]!, found[1]!, found[2]!] : null;
}

/** Relative luminance, from 0 to 1 (WCAG 2.2). */
export function luminance([r, g, b]: Rgb): number {
  const linear = (value: number) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  };
  return 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
}

/** The ratio of two colours, from 1 to 21. */
export function contrast(a: Rgb, b: Rgb): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

const known = new Map<string, string>();

/** `colour`, or the nearest to it towards black or white that can be read on `on`. */
export function readable(colour: string, on: string | null): string {
  if (!correcting) return colour;
  const back = (on === null ? null : parse(on)) ?? ground;
  const key = `${colour}/${back.join()}`;
  const before = known.get(key);
  if (before !== undefined) return before;
  const found = moved(parse(colour) ?? [128, 128, 128], back);
  if (known.size > 4096) known.clear();
  known.set(key, found);
  return found;
}

function moved(from: Rgb, back: Rgb): string {
  const towards = luminance(back) > 0.18 ? 0 : 255;
  let at: Rgb = from;
  for (let share = 0; share <= 1.0001; share += 0.05) {
    const mix = (value: number) => Math.round(value + (towards - value) * share);
    at = [mix(from[0]), mix(from[1]), mix(from[2])];
    if (contrast(at, back) >= CONTRAST_MIN) break;
  }
  return `rgb(${at.join(',')})`;
}
