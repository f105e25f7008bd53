import { expect, it } from 'vitest';
import { rank, score } from './fuzzy';

const items = ['Dashboard', 'Executions', 'nightly-build', 'Unit tests', 'Build tools', '日常构建'].map(
  (text) => ({ id: text, text }),
);
const texts = (query: string, recent: string[] = []) =>
  rank(query, items, recent, 10).map((item) => item.text);

it('finds whole words before scattered letters', () => {
  expect(texts('build')).toEqual(['Build tools', 'nightly-build']);
  expect(texts('nb')[0]).toBe('nightly-build');
  expect(texts('ut')[0]).toBe('Unit tests');
  expect(texts('构建')).toEqual(['日常构建']);
  expect(texts('xyz')).toEqual([]);
});

it('wants the letters in order', () => {
  expect(score('dba', 'abd')).toBeNull();
  expect(score('', 'anything')).toBe(0);
});

it('K1: puts first what was used lately, all else being equal', () => {
  expect(texts('')[0]).toBe('Dashboard');
  expect(texts('', ['Unit tests', 'Executions']).slice(0, 2)).toEqual(['Unit tests', 'Executions']);
  // But not before what fits far better.
  expect(texts('build', ['nightly-build'])[0]).toBe('Build tools');
});

it('finds by the second text, after the first ones', () => {
  const two = [
    { id: '1', text: 'alpha', also: 'beta' },
    { id: '2', text: 'beta' },
  ];
  expect(rank('beta', two, [], 10).map((one) => one.id)).toEqual(['2', '1']);
});
