import { expect, it } from 'vitest';
import { changeTags, readTags } from './labels';

it('U2: tags are words between commas or white space, each once', () => {
  expect(readTags(' nightly,release  日本 ,, nightly\n')).toEqual(['nightly', 'release', '日本']);
  expect(readTags('  ')).toEqual([]);
});

it('U2: a change of tags keeps the order of those that stay', () => {
  expect(changeTags(['a', 'b', 'c'], ['d', 'a'], ['b'])).toEqual(['a', 'c', 'd']);
  expect(changeTags(['a'], ['b'], ['b', 'a'])).toEqual(['b']);
});
