import { describe, expect, it } from 'vitest';
import { asked, pieces, place, read, written } from './terms';

describe('what is searched for', () => {
  it('is in the address, and comes back from it', () => {
    const query = new URLSearchParams('q=a+b&re=1&name=nightly&status=failed&since=7d&step=Test');
    const terms = read(query);
    expect(terms.text).toBe('a b');
    const back = new URLSearchParams();
    for (const [name, value] of Object.entries(written(terms))) if (value !== null) back.set(name, value);
    expect(read(back)).toEqual(terms);
    expect(asked(terms)).toMatchObject({ q: 'a b', regex: 1, case: 0, name_contains: 'nightly', status: 'failed' });
  });
  it('has no status that there is not', () => {
    expect(read(new URLSearchParams('q=x&status=broken')).status).toBe('');
  });
  it('is searched for in the log that a hit leads to', () => {
    const terms = { ...read(new URLSearchParams('q=a%26b&case=1')) };
    expect(place('id', terms, 12)).toBe('/executions/id?q=a%26b&case=1#L12');
    expect(place('id', terms, null)).toBe('/executions/id?q=a%26b&case=1');
  });
});

describe('matches', () => {
  it('cut a text into pieces that are all of it', () => {
    const text = 'a needle, two needles';
    const found = pieces(text, [[2, 8], [14, 20]]);
    expect(found.map((one) => one.text).join('')).toBe(text);
    expect(found.filter((one) => one.hit).map((one) => one.text)).toEqual(['needle', 'needle']);
    expect(pieces('x', [[0, 0]])).toEqual([{ text: 'x', hit: false }]);
    expect(pieces('abc', [[0, 2], [1, 3]]).map((one) => one.text)).toEqual(['ab', 'c']);
  });
});
