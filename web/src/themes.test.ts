import { describe, expect, it } from 'vitest';
import { THEMES } from './lib/themes';
import themes from './themes.css?raw';
import tokens from './tokens.css?raw';

// Read as a browser reads them: the base's light or dark value unless the theme says otherwise.

function block(css: string, selector: string): string {
  const at = css.indexOf(`${selector} {`);
  if (at < 0) throw new Error(`no ${selector}`);
  return css.slice(at, css.indexOf('\n}', at));
}

function colours(theme: string): Map<string, string> {
  const own = block(themes, `:root[data-theme='${theme}']`);
  const dark = /color-scheme: dark/.test(own);
  const found = new Map<string, string>();
  for (const css of [block(tokens, ':root'), own]) {
    for (const [, name, value] of css.matchAll(/--([\w-]+): ([^;]+);/g)) {
      const both = /^light-dark\((.+?), (.+)\)$/.exec(value!);
      found.set(name!, both === null ? value! : both[dark ? 2 : 1]!);
    }
  }
  return found;
}

/** WCAG 2.2: relative luminance. */
function luminance(hex: string): number {
  if (!/^#[0-9a-f]{6}$/.test(hex)) throw new Error(`not a colour: ${hex}`);
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

const SURFACES = ['bg', 'bg-subtle', 'bg-inset', 'bg-raised', 'bg-hover'];
const INKS = ['text', 'text-muted', 'accent', 'accent-strong', 'ok', 'bad', 'warn', 'run'];
const ANSI = Array.from({ length: 16 }, (_, n) => `ansi-${n}`);
const TEXT: [string, string][] = [
  ...INKS.flatMap((ink): [string, string][] => SURFACES.map((surface) => [ink, surface])),
  ...ANSI.map((ink): [string, string] => [ink, 'log-bg']),
  ...['log-text', 'text', 'text-muted', 'accent', 'ok', 'bad', 'warn', 'run'].map(
    (ink): [string, string] => [ink, 'log-bg'],
  ),
  ['on-accent', 'accent'],
  ['on-accent', 'accent-strong'],
  ['accent-strong', 'accent-soft'],
  ['text', 'accent-soft'],
  ['text', 'mark'],
  ['text', 'bad-soft'],
  ['bad', 'bad-soft'],
  ['text', 'warn-soft'],
  ['warn', 'warn-soft'],
];
const EDGES: [string, string][] = ['line-strong', 'accent'].flatMap((edge) =>
  [...SURFACES, 'log-bg'].map((surface): [string, string] => [edge, surface]),
);

describe.each(THEMES.filter((theme) => theme !== 'system'))('A6: theme %s', (theme) => {
  const of = colours(theme);
  const poor = (pairs: readonly [string, string][], least: number) =>
    pairs
      .map(([a, b]) => ({ a, b, ratio: contrast(of.get(a)!, of.get(b)!) }))
      .filter(({ ratio }) => ratio < least)
      .map(({ a, b, ratio }) => `${a} ${of.get(a)} on ${b} ${of.get(b)}: ${ratio.toFixed(2)}`);

  it('has text of at least 4.5:1, the sixteen colours of terminals among it', () => {
    expect(poor(TEXT, 4.5)).toEqual([]);
  });
  it('has borders of controls and focus of at least 3:1', () => {
    expect(poor(EDGES, 3)).toEqual([]);
  });
  if (theme.endsWith('-hc')) {
    it('has text of at least 7:1', () => {
      expect(poor(TEXT, 7)).toEqual([]);
    });
  }
});

it('gives every theme sixteen colours of its own', () => {
  const sets = THEMES.filter((theme) => theme !== 'system').map((theme) =>
    ANSI.map((name) => colours(theme).get(name)).join(),
  );
  expect(new Set(sets).size).toBe(sets.length);
});
