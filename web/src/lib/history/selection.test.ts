import { expect, it } from 'vitest';
import { csvField, extend, NONE, rowsInView, toggle } from './selection';

const order = ['a', 'b', 'c', 'd', 'e'];
const ids = (selection: { ids: ReadonlySet<string> }) => [...selection.ids].sort().join('');

it('K2 U2: chooses one, and a range from the last one', () => {
  let selection = toggle(NONE, 'b');
  selection = extend(selection, 'd', order);
  expect(ids(selection)).toBe('bcd');
  expect(ids(extend(selection, 'a', order))).toBe('abcd');
  expect(ids(toggle(selection, 'c'))).toBe('bd');
  expect(ids(extend(NONE, 'c', order))).toBe('c');
  expect(ids(extend({ ids: new Set(), anchor: 'gone' }, 'c', order))).toBe('c');
});

it('mounts the rows in view and some either side', () => {
  expect(rowsInView(10_000, 40, 0, 800)).toEqual({ from: 0, to: 40 });
  expect(rowsInView(10_000, 40, 40_000, 800)).toEqual({ from: 980, to: 1040 });
  expect(rowsInView(10_000, 40, 399_000, 800)).toEqual({ from: 9955, to: 10_000 });
  expect(rowsInView(10, 40, -500, 800)).toEqual({ from: 0, to: 10 });
  expect(rowsInView(10, 40, 99_999, 800)).toEqual({ from: 10, to: 10 });
});

it('writes CSV that no spreadsheet runs', () => {
  expect([csvField('a,"b"'), csvField('=1+1'), csvField(-3), csvField(null)]).toEqual(['"a,""b"""', "'=1+1", '-3', '']);
});
