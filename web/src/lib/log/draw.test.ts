import { describe, expect, it } from 'vitest';
import type { Line } from '$lib/api/types';
import { piecesOf, segmentsOf } from './draw';

const line = (text: string, view?: Partial<NonNullable<Line['view']>>): Line =>
  ({
    n: 1,
    t: '',
    stream: 'stdout',
    offset: 0,
    bytes: 0,
    text,
    partial: false,
    continued: false,
    lossy: false,
    rest: 0,
    step: null,
    ...(view && { view: { style: '', shown: null, width: 0, replaced: 0, hidden: 0, level: 'other', source: 'detected', context: false, ...view } }),
  }) as Line;

describe('what a row shows', () => {
  it('L9: begins in the style of the line before', () => {
    const [first, second] = segmentsOf(line('red\x1b[0m plain', { style: '1;31' }));
    expect(first).toMatchObject({ text: 'red', style: { fg: 1, bold: true } });
    expect(second).toMatchObject({ text: ' plain', style: null });
  });

  it('L9: shows conceal, strike and the rest', () => {
    const [one] = segmentsOf(line('\x1b[8;9;4;3;2mx'));
    expect(one?.style).toMatchObject({ conceal: true, strike: true, underline: true, italic: true, faint: true });
  });

  it('L10: shows the last picture, as the server drew it', () => {
    expect(segmentsOf(line('10%\r90%', { shown: '90%', replaced: 1 }))).toMatchObject([{ text: '90%' }]);
  });

  it('L11: links lead to http and https only', () => {
    const osc = (to: string) => `\x1b]8;;${to}\x07here\x1b]8;;\x07 end`;
    expect(segmentsOf(line(osc('https://a.example/x')))[0]).toMatchObject({ text: 'here', link: 'https://a.example/x' });
    for (const bad of ['javascript:alert(1)', 'file:///etc/passwd', 'data:text/html,x', 'http://', '//a.example']) {
      expect(segmentsOf(line(osc(bad))).every((one) => one.link === undefined)).toBe(true);
    }
    const plain = segmentsOf(line('see (https://a.example/b_(c)), or http://x.example/?q=1.'));
    expect(plain.filter((one) => one.link).map((one) => one.text)).toEqual([
      'https://a.example/b_(c)',
      'http://x.example/?q=1',
    ]);
    expect(plain.map((one) => one.text).join('')).toBe('see (https://a.example/b_(c)), or http://x.example/?q=1.');
  });

  it('L17: marks hits over styles and row breaks, and loses no text', () => {
    const segments = segmentsOf(line('ab\x1b[31mcdef\x1b[0mgh'));
    const pieces = piecesOf(segments, [{ from: 1, to: 5, current: true }, { from: 6, to: 7, current: false }], 4);
    expect(pieces.map((one) => one.text).join('')).toBe('abcdefgh');
    expect(pieces.filter((one) => one.hit === 'current').map((one) => one.text).join('')).toBe('bcde');
    expect(pieces.filter((one) => one.hit === 'hit').map((one) => one.text).join('')).toBe('g');
    expect(pieces.filter((one) => one.breaks).map((one) => one.text)).toEqual(['e']);
  });

  it('L12: shows 16 KiB of a long line', () => {
    const text = segmentsOf(line('x'.repeat(20_000))).map((one) => one.text).join('');
    expect(text.length).toBe(16_384);
  });
});
