import { describe, expect, it } from 'vitest';
import type { Execution } from '$lib/api/types';
import {
  apiFilter,
  matches,
  orderOf,
  parseDuration,
  parseQuery,
  queryLink,
  queryText,
  readQuery,
  suggest,
  withTerm,
  without,
} from './query';

const execution = (fields: Partial<Execution>) =>
  ({
    name: 'Nightly Build',
    status: 'failed',
    tags: ['prod'],
    user: 'li.wei',
    source: 'cli',
    exit_code: 2,
    duration_seconds: 400,
    created_at: '2026-11-22T20:00:00Z',
    pinned: false,
    ...fields,
  }) as Execution;
const terms = (text: string) => parseQuery(text).terms;
const codes = (text: string) => parseQuery(text).mistakes.map(({ code, text }) => [code, text]);

describe('the query line', () => {
  it('U2: pinned ones, and orders by duration', () => {
    expect(apiFilter(terms('is:pinned order:longest status:failed'))).toEqual({
      pinned: '1',
      order: 'longest',
      status: 'failed',
    });
    expect(orderOf(terms('order:shortest'))).toBe('shortest');
    expect(orderOf(terms('is:pinned'))).toBe('newest');
    expect(codes('is:red order:up is:!pinned')).toEqual([['is', 'is:red'], ['order', 'order:up'], ['not', 'is:!pinned']]);
    expect(matches(terms('is:pinned'), execution({}))).toBe(false);
    expect(matches(terms('is:pinned'), execution({ pinned: true }))).toBe(true);
  });

  it('has a term for each condition; free words are a part of the name', () => {
    expect(parseQuery('status:failed nightly tag:!"a b" duration:>5m exit:!0 build')).toEqual({
      mistakes: [],
      terms: [
        { key: 'status', not: false, value: 'failed' },
        { key: 'tag', not: true, value: 'a b' },
        { key: 'duration', not: false, value: '>5m' },
        { key: 'exit', not: true, value: '0' },
        { key: 'name', not: false, value: 'nightly build' },
      ],
    });
    expect(terms('"status:failed"')).toEqual([{ key: 'name', not: false, value: 'status:failed' }]);
    expect(terms('https://a')).toEqual([]);
    expect(terms('  ')).toEqual([]);
  });

  it('says what it cannot understand, and where', () => {
    expect(codes('colour:red')).toEqual([['key', 'colour:red']]);
    expect(codes('status:broken source:web')).toEqual([['status', 'status:broken'], ['source', 'source:web']]);
    expect(codes('exit:x duration:5m duration:>5 after:soon')).toEqual([
      ['exit', 'exit:x'],
      ['duration', 'duration:5m'],
      ['duration', 'duration:>5'],
      ['time', 'after:soon'],
    ]);
    expect(codes('before:2026-02-31 tag: after:!7d')).toEqual([
      ['time', 'before:2026-02-31'],
      ['empty', 'tag:'],
      ['not', 'after:!7d'],
    ]);
    expect(codes('tag:a tag:b name:x y')).toEqual([['twice', 'tag:b'], ['twice', 'y']]);
    expect(parseQuery('a tag:"open').mistakes).toEqual([{ code: 'quote', text: 'tag:"open', from: 2, to: 11 }]);
    expect(codes('tag:a tag:!b duration:>1s duration:<9s')).toEqual([]);
  });

  it('is written as it is read', () => {
    for (const text of ['status:failed', 'tag:!"a \\"b\\\\"', 'name:"x y" exit:!0', 'user:"!x"']) {
      expect(queryText(terms(text))).toBe(text);
    }
    const both = withTerm(terms('status:failed tag:a'), { key: 'status', not: false, value: 'running' });
    expect(queryText(both)).toBe('status:running tag:a');
    expect(queryText(without(both, 'status'))).toBe('tag:a');
  });

  it('reads links of before', () => {
    const read = (text: string) => readQuery(new URLSearchParams(text));
    expect(read('status=failed&name=a+b&tag=prod&since=7d')).toBe('status:failed name:"a b" tag:prod after:7d');
    expect(read('until=2026-11-30')).toBe('before:2026-12-01');
    expect(read('q=tag%3Aa&status=failed')).toBe('tag:a status:failed');
    expect(queryLink(' tag:a ')).toBe('/executions?q=tag%3Aa');
    expect(queryLink('')).toBe('/executions');
  });

  it('gives days to the server as moments of the reader’s own zone, the rest as it is', () => {
    expect(apiFilter(terms('after:2026-11-01 before:7d duration:>5m duration:<1h exit:!0 name:x tag:!y'))).toEqual({
      since: new Date(2026, 10, 1).toISOString(),
      until: '7d',
      longer_than: '300',
      shorter_than: '3600',
      not_exit_code: '0',
      name_contains: 'x',
      not_tag: 'y',
    });
  });

  it('tells which new executions belong into the list', () => {
    for (const text of ['', 'status:failed', 'BUILD', 'tag:prod', 'tag:!x', 'after:1h', 'before:2099-01-01', 'exit:!0', 'duration:>5m', 'user:li.wei source:cli']) {
      expect(matches(terms(text), execution({})), text).toBe(true);
    }
    for (const text of ['status:!failed', 'deploy', 'tag:pro', 'before:2020-01-01', 'exit:0', 'duration:<5m', 'source:!cli']) {
      expect(matches(terms(text), execution({})), text).toBe(false);
    }
    expect(matches(terms('exit:!0'), execution({ exit_code: null }))).toBe(false);
  });

  it('adds units up', () => {
    expect(['90s', '1h30m', '250ms', '1.5m', '5', 'm', ''].map(parseDuration)).toEqual([90_000, 5_400_000, 250, 90_000, null, null, null]);
  });

  it('suggests keys, and values behind them', () => {
    const known = { tags: ['nightly', 'new york'], users: ['li.wei'] };
    expect(suggest('st', 2, known)).toEqual({ from: 0, to: 2, options: ['status:'] });
    expect(suggest('x status:f', 10, known)).toEqual({ from: 2, to: 10, options: ['status:failed'] });
    expect(suggest('tag:!n', 6, known).options).toEqual(['tag:!nightly', 'tag:!"new york"']);
    expect(suggest('', 0, known).options).toHaveLength(11);
  });
});
