import { describe, expect, it } from 'vitest';
import { plainText, tokenize, type Style } from './ansi';

const E = '\x1b[';
const text = (line: string) => plainText(tokenize(line));
/** Each piece with those of its styles that are on. */
function styled(line: string): [string, Partial<Style>][] {
  return tokenize(line).map(({ text, style }) => [
    text,
    Object.fromEntries(Object.entries(style ?? {}).filter(([, v]) => v !== null && v !== false)),
  ]);
}

describe('styles', () => {
  it('leaves a plain line in one piece', () => {
    expect(tokenize('cargo build --all 中文')).toEqual([
      { text: 'cargo build --all 中文', style: null, symbol: false },
    ]);
    expect(tokenize('')).toEqual([]);
  });

  it.each([
    [`${E}31mred${E}0m`, [['red', { fg: 1 }]]],
    [`${E}91;44mx`, [['x', { fg: 9, bg: 4 }]]],
    [`${E}1mb${E}2mbf${E}22mn`, [['b', { bold: true }], ['bf', { bold: true, faint: true }], ['n', {}]]],
    [`${E}3;4;7;9mx`, [['x', { italic: true, underline: true, inverse: true, strike: true }]]],
    [`${E}38;5;196mx`, [['x', { fg: 'rgb(255,0,0)' }]]],
    [`${E}38;5;9mx`, [['x', { fg: 9 }]]],
    [`${E}48;5;244mx`, [['x', { bg: 'rgb(128,128,128)' }]]],
    [`${E}38;2;1;2;3;1mx`, [['x', { fg: 'rgb(1,2,3)', bold: true }]]],
    [`${E}38:2::1:2:3mx`, [['x', { fg: 'rgb(1,2,3)' }]]],
    [`${E}38:2:1:2:3mx`, [['x', { fg: 'rgb(1,2,3)' }]]],
    [`${E}4:0mx`, [['x', {}]]],
    [`${E}mx`, [['x', {}]]],
    [`${E}38;5;999mx`, [['x', {}]]],
    [`${E}38;2;300;0;0mx`, [['x', {}]]],
    [`${E}>4;1mx`, [['x', {}]]],
  ] as [string, [string, Partial<Style>][]][])('reads %j', (line, expected) => {
    expect(styled(line)).toEqual(expected);
  });
});

describe('other escapes', () => {
  it.each([
    [`a${E}2Jb${E}10;5Hc${E}?25ld`, 'abcd'],
    ['\x1b]0;title\x07text', 'text'],
    ['\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\', 'click'],
    ['\x1bPdevice\x1b\\text', 'text'],
    ['\x1b(Btext\x1b7\x1b8', 'text'],
  ])('removes them from %j', (line, expected) => {
    expect(text(line)).toBe(expected);
  });

  it('loses no text to an escape that does not end', () => {
    expect(text('\x1b]0;never ended')).toBe('^[]0;never ended');
    expect(text('\x1b[')).toBe('^[[');
  });
});

describe('overwriting', () => {
  it.each([
    ['10 %\r50 %\r100 %', '100 %'],
    ['long text\rshort', 'shorttext'],
    [`long text\r${E}Kshort`, 'short'],
    [`abc\r${E}2Kx`, 'x'],
    ['abc\b\bX', 'aXc'],
    ['windows line\r', 'windows line'],
    ['a\r\r', 'a'],
    ['中文\r英', '英文'],
  ])('%j leaves %j', (line, expected) => {
    expect(text(line)).toBe(expected);
  });

  it('keeps the style of what is left', () => {
    expect(styled(`${E}31mred\r${E}32mg`)).toEqual([
      ['g', { fg: 2 }],
      ['ed', { fg: 1 }],
    ]);
  });
});

describe('what cannot be seen', () => {
  it('is shown as a symbol', () => {
    expect(text('a\x00b\x07')).toBe('a^@b^G');
    expect(text('a\u202Eb\u2066c\ufeff')).toBe('a<202E>b<2066>c<FEFF>');
    expect(tokenize('a\u202Eb').map((segment) => segment.symbol)).toEqual([false, true, false]);
  });

  it('leaves tabs and joined emoji alone', () => {
    expect(text('a\tb 👩‍👩‍👧')).toBe('a\tb 👩‍👩‍👧');
  });
});

it('never throws, and text without escapes and controls comes back whole', () => {
  let seed = 1;
  const random = (n: number) => (seed = (seed * 48271) % 2147483647) % n;
  const alphabet = ['\x1b', '[', ']', 'm', ';', '3', '8', ':', '\r', '\b', '\x07', 'K', 'x', '中', ' ', '\\', 'P', '\ud800'];
  for (let round = 0; round < 3000; round++) {
    let line = '';
    for (let at = random(24); at >= 0; at--) line += alphabet[random(alphabet.length)];
    expect(text(line)).not.toContain('\x1b');
  }
});
