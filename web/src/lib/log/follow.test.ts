import { expect, it } from 'vitest';
import { follow, FOLLOW_OFF, unseen, type Follow, type Intent } from './follow';

const OFF: Intent[] = ['scroll-up', 'scrollbar', 'select', 'line', 'search', 'fold', 'switch-off'];
const ON: Intent[] = ['rest-at-end', 'end', 'jump', 'switch-on'];
const on: Follow = { on: true, seen: 0 };

it.each(OFF)('L6: %s turns it off and remembers how many lines there were', (intent) => {
  expect(follow(on, intent, 120)).toEqual({ on: false, seen: 120 });
});

it.each(ON)('L6: %s turns it on', (intent) => {
  expect(follow(FOLLOW_OFF, intent, 7).on).toBe(true);
});

it.each([...OFF])('L7: %s while off changes nothing, so the count of new lines goes on', (intent) => {
  const off = follow(on, 'scroll-up', 100);
  const again = follow(off, intent, 150);
  expect(again).toBe(off);
  expect(unseen(again, 150)).toBe(50);
});

it('counts nothing while on', () => {
  expect(unseen(on, 1000)).toBe(0);
});

it('T4: is decided by the last intent alone, whatever the output does meanwhile', () => {
  let seed = 7;
  const all = [...OFF, ...ON];
  let state = FOLLOW_OFF;
  let lines = 0;
  for (let round = 0; round < 2000; round++) {
    seed = (seed * 48271) % 2147483647;
    lines += seed % 5000;
    const intent = all[seed % all.length]!;
    state = follow(state, intent, lines);
    expect(state.on).toBe(ON.includes(intent));
    expect(unseen(state, lines)).toBeGreaterThanOrEqual(0);
  }
});
