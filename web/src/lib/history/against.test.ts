import { expect, it } from 'vitest';
import { against, left, roundLeft } from './against';

it('compares in words, and not what always varies', () => {
  expect(against(141, 100)).toEqual({ kind: 'slower', ratio: expect.closeTo(0.41) });
  expect(against(50, 100)).toEqual({ kind: 'faster', ratio: 0.5 });
  expect(against(109, 100)).toEqual({ kind: 'same' });
  expect(against(0.3, 0.1)).toEqual({ kind: 'same' });
  expect(against(null, 100)).toBe(null);
  expect(against(3, null)).toBe(null);
});

it('says what is left, and that it is over', () => {
  expect(left(40, 100)).toBe(60);
  expect(left(140, 100)).toBe(-40);
  expect(left(1, null)).toBe(null);
  expect([1, 12, 59, 61, 119].map(roundLeft)).toEqual([5, 15, 60, 120, 120]);
});
