import { expect, it, vi } from 'vitest';
import type { Line, LogRange } from '$lib/api/types';
import { LineLoader } from './loader';

const line = (n: number, partial = false) => ({ n, text: `line ${n}`, partial }) as Line;

/** A log of `total` lines behind a wire on which answers wait until they are let through. */
function wired(total: number, ended = true) {
  const asked: { from: number; limit: number; signal: AbortSignal; answer: () => Promise<void> }[] = [];
  let size = total;
  const fetch = (from: number, limit: number, signal: AbortSignal) =>
    new Promise<LogRange>((resolve, reject) => {
      signal.addEventListener('abort', () => reject(new DOMException('', 'AbortError')));
      const answer = async () => {
        const last = Math.min(size, from + limit - 1);
        const lines = Array.from({ length: Math.max(0, last - from + 1) }, (_, at) => line(from + at));
        resolve({ lines, total_lines: size, total_bytes: size * 10, ended } as unknown as LogRange);
        for (let turn = 0; turn < 5; turn++) await Promise.resolve();
      };
      asked.push({ from, limit, signal, answer });
    });
  const loader = new LineLoader({ fetch, fetchFiltered: () => Promise.reject(new Error()), changed: () => {} });
  const grow = (lines: number) => {
    size = lines;
    loader.grow({ lines, bytes: lines * 10, ended });
  };
  grow(total);
  loader.showAll();
  return { loader, asked, grow };
}
const span = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, at) => from + at);

it('L4: asks for whole ranges of 512, and for what it has never again', async () => {
  const { loader, asked } = wired(10_000);
  loader.request(span(500, 540));
  expect(asked.map(({ from, limit }) => [from, limit])).toEqual([[1, 512], [513, 512]]);
  for (const one of asked) await one.answer();
  expect(loader.get(512)?.text).toBe('line 512');
  loader.request(span(480, 560));
  loader.request(span(1, 40));
  expect(asked).toHaveLength(2);
});

it('L4: gives up requests that nobody waits for any more', () => {
  const { loader, asked } = wired(10_000);
  loader.request(span(1, 40));
  loader.request(span(1, 40));
  expect(asked).toHaveLength(1);
  loader.request(span(5000, 5040));
  expect(asked[0]!.signal.aborted).toBe(true);
  expect(asked[1]!.signal.aborted).toBe(false);
});

it('T5: takes answers in any order, and leaves no line out of a log that grows meanwhile', async () => {
  const { loader, asked, grow } = wired(600, false);
  loader.request(span(500, 600));
  grow(700);
  loader.showAll();
  await asked[1]!.answer();
  await asked[0]!.answer();
  loader.request(span(500, 700));
  for (const one of asked.slice(2)) await one.answer();
  expect(span(1, 700).filter((n) => loader.get(n)?.n !== n)).toEqual([]);
});

it('L7: brings the end of a log that is far ahead without all that is between', async () => {
  const { loader, asked, grow } = wired(0, false);
  grow(100_000);
  loader.pump();
  expect(asked[0]!.from).toBe(100_000 - 199);
  await asked[0]!.answer();
  expect(loader.lines).toBe(100_000);
  grow(100_050);
  loader.pump();
  expect(asked[1]!.from).toBe(100_001);
});

it('X2 T5: tries again after a failure, ever later, and counts it', async () => {
  vi.useFakeTimers();
  try {
    const changed = vi.fn();
    let fails = true;
    const fetch = vi.fn(async (from: number) => {
      if (fails) throw new Error('gone');
      return { lines: [line(from)], total_lines: 1, total_bytes: 10, ended: false } as unknown as LogRange;
    });
    const loader = new LineLoader({ fetch, fetchFiltered: () => Promise.reject(new Error()), changed });
    loader.grow({ lines: 1, bytes: 10, ended: false });
    loader.showAll();
    loader.request([1]);
    await vi.advanceTimersByTimeAsync(0);
    expect(loader.failures).toBe(1);
    loader.request([1]);
    expect(fetch).toHaveBeenCalledTimes(1);
    fails = false;
    await vi.advanceTimersByTimeAsync(500);
    loader.request([1]);
    await vi.advanceTimersByTimeAsync(0);
    expect(loader.failures).toBe(0);
    expect(loader.get(1)?.text).toBe('line 1');
  } finally {
    vi.useRealTimers();
  }
});
