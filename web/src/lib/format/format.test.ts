import { describe, expect, it } from 'vitest';
import { en } from '$lib/i18n/en';
import { fill } from '$lib/i18n/message';
import { zhCN } from '$lib/i18n/zh-CN';
import { cliLine, quote } from './cli-line';
import { parseDuration } from './duration-input';
import { parseEnvironment, parseTags } from './form';
import { Formatter } from './formatter';
import { sinceStart } from './log-time';
import { visible } from './plain';
import { lookOf } from './status';

const english = new Formatter('en');
const chinese = new Formatter('zh-CN');

describe('durations', () => {
  it.each([
    [0, '0s'],
    [0.246, '0.24s'],
    [1.29, '1.2s'],
    [59.99, '59.9s'],
    [60, '1m 00s'],
    [192.9, '3m 12s'],
    [3720, '1h 02m'],
    [187_200, '2d 04h'],
    [-3, '0s'],
  ])('%d s is %s', (seconds, text) => {
    expect(english.duration(seconds)).toBe(text);
  });

  it('are written in Chinese too', () => {
    expect(chinese.duration(192)).toBe('3分钟 12秒');
  });

  it('tick in whole seconds', () => {
    expect(english.ticking(9.9)).toBe('9s');
    expect(english.ticking(61.5)).toBe('1m 01s');
  });
});

it('writes sizes in powers of 1000', () => {
  expect(english.bytes(0)).toBe('0\u00a0B');
  expect(english.bytes(999)).toBe('999\u00a0B');
  expect(english.bytes(12_400_000)).toBe('12.4 MB');
  expect(english.bytes(999_600)).toBe('1 MB');
});

it('writes how long ago', () => {
  const now = 1_000_000_000;
  expect(english.ago(now - 2000, now)).toBe('now');
  expect(english.ago(now - 300_000, now)).toBe('5 min. ago');
  expect(chinese.ago(now - 300_000, now)).toBe('5分钟前');
});

describe('texts', () => {
  it('count', () => {
    const say = (n: number) => fill(en['exec.lines'], { n }, english.plural, english.number);
    expect([say(0), say(1), say(48_201)]).toEqual(['0 lines', '1 line', '48,201 lines']);
    expect(fill(zhCN['exec.lines'], { n: 48_201 }, chinese.plural, chinese.number)).toBe('48,201 行');
  });

  it('have the same holes in every language', () => {
    const holes = (message: unknown) =>
      [...new Set(JSON.stringify(message).match(/\{\w+\}/g) ?? [])].sort();
    for (const key of Object.keys(en) as (keyof typeof en)[]) {
      expect([key, holes(zhCN[key])]).toEqual([key, holes(en[key])]);
    }
  });

  it('do not fill holes that a value brings with it', () => {
    const text = fill('{a} {b}', { a: '{b}', b: 'x' }, english.plural, english.number);
    expect(text).toBe('{b} x');
  });
});

it('shows what a name hides', () => {
  expect(visible('a\u202Eexe.txt\n')).toBe('a<202E>exe.txt^J');
});

it('writes the time since the start at one width', () => {
  expect(sinceStart(3_723_456, 0)).toBe('+1:02:03.456');
  expect(sinceStart(0, 5)).toBe('+0:00:00.000');
});

it.each([
  ['90', 90],
  ['90s', 90],
  ['10m', 600],
  ['1h30m', 5400],
  ['1.5h', 5400],
  ['250ms', 0.25],
  ['', null],
  ['0', null],
  ['ten', null],
  ['10x', null],
  ['-5', null],
])('reads the duration %j', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

describe('the form', () => {
  it('reads environment lines', () => {
    expect(parseEnvironment('A=1\n\n# no\nexport B = x=y ')).toEqual({ ok: false, line: 4 });
    expect(parseEnvironment('A=1\nexport B=x=y \n')).toEqual({
      ok: true,
      values: { A: '1', B: 'x=y ' },
      count: 2,
    });
  });

  it('reads tags', () => {
    expect(parseTags(' a, b,,a ')).toEqual(['a', 'b']);
  });

  it('shows the command line that does the same', () => {
    expect(quote("it's")).toBe(`'it'\\''s'`);
    expect(
      cliLine({ command: 'make | tee x', shell: true, name: 'my build', environment: { A: '1 2' }, tags: ['t'], timeout: 600, stop_on_error: true }),
    ).toBe("stepflow run --name 'my build' --env 'A=1 2' --tag t --timeout 600s --stop-on-error -- sh -c 'make | tee x'");
    expect(cliLine({ command: 'make test', shell: false })).toBe('stepflow run -- make test');
  });
});

it('draws states from status, reason and flags', () => {
  const facts = { status: 'failed', reason: null, cancelling: false, paused: false } as const;
  expect(lookOf(facts)).toBe('failed');
  expect(lookOf({ ...facts, reason: 'timed_out' })).toBe('timed_out');
  expect(lookOf({ ...facts, reason: 'host_restarted' })).toBe('lost');
  expect(lookOf({ ...facts, reason: 'start_failed' })).toBe('not_started');
  expect(lookOf({ ...facts, status: 'running', cancelling: true, paused: true })).toBe('cancelling');
  expect(lookOf({ ...facts, status: 'running', paused: true })).toBe('paused');
});
