// Tests of one execution as rows of a list that is loaded in pieces: which are in view, which pieces
// they need, and where they stand. Pure.

import type { TestPast, TestResult } from '$lib/api/types';
import { visible } from '$lib/format/plain';

export const ROW_PX = 46;
/** What opens below a row is no higher than this, and scrolls within it. */
export const DETAIL_PX_MAX = 340;
/** Tests that are asked for at once. */
export const PIECE = 200;

/** What the reader picks: one word for what the API asks with several. */
export const SHOWN = ['all', 'failed', 'new', 'flaky', 'fixed', 'skipped', 'passed', 'slowest'] as const;
export type Shown = (typeof SHOWN)[number];

export interface Asked {
  readonly status?: string;
  readonly mark?: string;
  readonly order?: string;
}

export function asked(shown: Shown): Asked {
  switch (shown) {
    case 'all':
      return {};
    case 'failed':
    case 'passed':
    case 'skipped':
      return { status: shown };
    case 'new':
      return { mark: 'newly_failing' };
    case 'flaky':
    case 'fixed':
      return { mark: shown };
    case 'slowest':
      return { order: 'slowest' };
  }
}

/** As far as a list tells apart. */
export function verdict(status: string): 'passed' | 'failed' | 'skipped' {
  if (status === 'passed' || status === 'xpassed') return 'passed';
  return status === 'skipped' || status === 'todo' || status === 'xfailed' ? 'skipped' : 'failed';
}

/** The row that is open, and how high what opens below it is. */
export interface Opened {
  readonly at: number;
  readonly px: number;
}

/** Where row `at` begins. */
export function topOf(at: number, open: Opened | null): number {
  return at * ROW_PX + (open !== null && at > open.at ? open.px : 0);
}

export function heightOf(count: number, open: Opened | null): number {
  return count * ROW_PX + (open !== null && open.at < count ? open.px : 0);
}

/** The rows between two heights, and `more` on each side: the first, and the one behind the last. */
export function inView(
  count: number,
  open: Opened | null,
  from: number,
  to: number,
  more = 6,
): [first: number, end: number] {
  const at = (px: number) => {
    if (open === null || px < (open.at + 1) * ROW_PX) return Math.floor(px / ROW_PX);
    return Math.max(open.at, Math.floor((px - open.px) / ROW_PX));
  };
  const first = Math.max(0, Math.min(count, at(from) - more));
  return [first, Math.max(first, Math.min(count, at(to) + 1 + more))];
}

/** The pieces that hold these rows. */
export function pieces([first, end]: readonly [number, number]): number[] {
  if (end <= first) return [];
  const all: number[] = [];
  for (let at = Math.floor(first / PIECE); at * PIECE < end; at += 1) all.push(at);
  return all;
}

/** The history as people read it, the oldest first, and how many of those with a verdict failed. */
export function strip(history: readonly TestPast[]): { runs: readonly TestPast[]; failed: number; judged: number } {
  const judged = history.filter((one) => one.verdict !== 'skipped');
  return {
    runs: [...history].reverse(),
    failed: judged.filter((one) => one.verdict === 'failed').length,
    judged: judged.length,
  };
}

/** Text of several lines as it can be shown; tabs as in most terminals, from where they stand. */
export function shownLines(text: string): string {
  return text
    .split(/\r?\n/)
    .map((line) => visible(line.replaceAll('\t', '    ')))
    .join('\n');
}

/** Its source file, as people write it. */
export function source(test: TestResult): string | null {
  if (test.file === null) return null;
  return test.file_line === null ? test.file : `${test.file}:${test.file_line}`;
}
