import { expect, it } from 'vitest';
import type { Line, Step } from '$lib/api/types';
import { clock } from './clock';

const STARTED = Date.UTC(2026, 0, 1, 10, 0, 0);
const line = (n: number, ms: number, step: number | null = null) =>
  ({ n, step, t: new Date(STARTED + ms).toISOString() }) as Line;
const steps = [{ index: 0, started_at: new Date(STARTED + 60_000).toISOString() }] as unknown as Step[];
const lines = new Map([line(1, 250), line(2, 61_500, 0), line(3, 61_507, 0)].map((one) => [one.n, one]));
const before = (n: number) => lines.get(n);
const shown = (mode: Parameters<typeof clock>[0], n: number, zone = 0) =>
  clock(mode, STARTED, steps, before, zone)?.(lines.get(n)!);

it('L13: counts from the start of the execution, of the step, or from the line before', () => {
  expect(shown('relative', 2)).toBe('+0:01:01.500');
  expect(shown('step', 2)).toBe('+0:00:01.500');
  // Outside of steps the execution's start is all that there is.
  expect(shown('step', 1)).toBe('+0:00:00.250');
  expect(shown('delta', 3)).toBe('+0.007');
  expect(shown('delta', 1)).toBe('');
});

it('L13: shows the time of day here, in UTC and at the server, and nothing when it is off', () => {
  expect(shown('utc', 2)).toBe('10:01:01.500');
  expect(shown('server', 2, 330)).toBe('15:31:01.500');
  const here = new Date(STARTED + 61_500);
  const two = (value: number) => String(value).padStart(2, '0');
  expect(shown('absolute', 2)).toBe(`${two(here.getHours())}:${two(here.getMinutes())}:01.500`);
  expect(clock('off', STARTED, steps, before)).toBeNull();
});
