import { expect, it } from 'vitest';
import { pseudo } from './pseudo';

it('A5: is about 40 % longer and keeps the holes', () => {
  const text = 'Reconnecting in {n} s, after that {name} goes on';
  const longer = pseudo(text);
  expect(longer).toContain('{n}');
  expect(longer).toContain('{name}');
  expect(longer.length / text.length).toBeGreaterThan(1.25);
  expect(longer.length / text.length).toBeLessThan(1.5);
  expect(pseudo('{n}')).toBe('{n}');
});
