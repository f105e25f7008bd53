import { describe, expect, it } from 'vitest';
import type { Execution } from '$lib/api/types';
import { asSaved, endsIn, endTerms, readTold, type ToldSearch } from './told';

const NOW = Date.parse('2026-11-22T21:00:00Z');
const search = (query: string, since = '2026-11-22T20:30:00Z'): ToldSearch => ({
  name: 'mine',
  shared: false,
  query,
  since: Date.parse(since),
});
const execution = (fields: Partial<Execution> = {}) =>
  ({
    name: 'Nightly Build',
    status: 'failed',
    tags: ['prod'],
    user: 'li.wei',
    source: 'cli',
    exit_code: 2,
    duration_seconds: 3300,
    created_at: '2026-11-22T20:00:00Z',
    completed_at: '2026-11-22T20:55:00Z',
    pinned: false,
    ...fields,
  }) as Execution;

describe('X5: ends of saved searches', () => {
  it('X5: tells of what ends within the search, once it has ended', () => {
    expect(endsIn(search('build'), execution(), NOW)).toBe(true);
    expect(endsIn(search('tag:prod status:failed'), execution(), NOW)).toBe(true);
    expect(endsIn(search('tag:other'), execution(), NOW)).toBe(false);
    expect(endsIn(search('status:completed'), execution(), NOW)).toBe(false);
    expect(endsIn(search('build'), execution({ status: 'running' }), NOW)).toBe(false);
  });

  it('X5: a search of what runs tells when it runs no more', () => {
    expect(endsIn(search('status:running tag:prod'), execution(), NOW)).toBe(true);
    expect(endsIn(search('status:pending'), execution(), NOW)).toBe(true);
    expect(endsIn(search('status:running tag:x'), execution(), NOW)).toBe(false);
    expect(endsIn(search('status:!failed'), execution(), NOW)).toBe(false);
  });

  it('X5: what had ended before the reader asked is not told, even when it is changed later', () => {
    const old = execution({ completed_at: '2026-11-22T20:29:59Z', tags: ['prod', 'new'] });
    expect(endsIn(search('tag:new'), old, NOW)).toBe(false);
  });

  it('X5: ages are counted back from now, days and moments are themselves', () => {
    expect(endsIn(search('after:2h'), execution(), NOW)).toBe(true);
    expect(endsIn(search('after:30m'), execution(), NOW)).toBe(false);
    expect(endsIn(search('before:30m'), execution(), NOW)).toBe(true);
    expect(endsIn(search('before:1w'), execution(), NOW)).toBe(false);
    expect(endsIn(search('before:2026-11-22T20:00:01Z'), execution(), NOW)).toBe(true);
    expect(endsIn(search('after:2026-11-22T20:00:01Z'), execution(), NOW)).toBe(false);
  });

  it('X5: a line that is not understood tells of nothing, and an order is no condition', () => {
    expect(endsIn(search('stauts:failed'), execution(), NOW)).toBe(false);
    expect(endTerms('order:longest tag:prod')?.map(({ key }) => key)).toEqual(['tag']);
  });

  it('reads what it wrote and nothing else', () => {
    const one = search('build');
    expect(readTold(JSON.stringify([one, null, { name: 'x' }, 4]))).toEqual([one]);
    expect([readTold(null), readTold('{'), readTold('{}')]).toEqual([[], [], []]);
  });

  it('follows the saved searches of its kind', () => {
    const own = search('build');
    const theirs = { ...own, shared: true };
    expect(asSaved([own, theirs], true, [])).toEqual([own]);
    expect(asSaved([own, theirs], false, [{ name: 'mine', query: 'tag:x' }])).toEqual([{ ...own, query: 'tag:x' }, theirs]);
    expect(asSaved([own], false, [{ name: 'mine', query: 'build' }])[0]).toBe(own);
  });
});
