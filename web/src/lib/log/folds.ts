// Which lines are hidden when steps are folded, and what stands in the rows at which steps begin.

import type { LogMeta, Step, StepRange } from '$lib/api/types';
import type { Span } from './document';

/** The steps from the outermost to `index`. */
export function lineage(steps: readonly Step[], index: number): Step[] {
  const found: Step[] = [];
  let step = steps[index];
  // A parent always has a smaller index: this ends.
  while (step !== undefined) {
    found.unshift(step);
    step = step.parent === null ? undefined : steps[step.parent];
  }
  return found;
}

/** For each step, the outermost folded one that it is in or is; `null`: it is shown. */
export function foldedBy(steps: readonly Step[], folded: ReadonlySet<number>): (number | null)[] {
  const by: (number | null)[] = [];
  for (const step of steps) {
    const above = step.parent === null ? null : (by[step.parent] ?? null);
    by[step.index] = above ?? (folded.has(step.index) ? step.index : null);
  }
  return by;
}

/** The lines that folding hides: all of a folded step but the one at which it begins. */
export function hiddenSpans(
  steps: readonly Step[],
  ranges: readonly StepRange[],
  folded: ReadonlySet<number>,
  lines: number,
): Span[] {
  if (folded.size === 0) return [];
  const by = foldedBy(steps, folded);
  const spans: Span[] = [];
  for (const range of ranges) {
    const owner = range.step === null ? null : (by[range.step] ?? null);
    if (owner === null) continue;
    const last = range.last_line ?? lines;
    const head = steps[owner]?.first_line ?? 0;
    if (range.first_line <= head && head <= last) {
      spans.push([range.first_line, head - 1], [head + 1, last]);
    } else spans.push([range.first_line, last]);
  }
  return spans;
}

/** The step that owns line `n`; `null`: none, or not known. */
export function ownerOf(ranges: readonly StepRange[], n: number): number | null {
  let low = 0;
  let high = ranges.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const range = ranges[middle]!;
    if (n < range.first_line) high = middle - 1;
    else if (range.last_line !== null && n > range.last_line) low = middle + 1;
    else return range.step;
  }
  return null;
}

/**
 * Steps whose headers stick to the top of the view, at most the outermost two: their own header is
 * above it, and they still go on below where the sticky one ends (`under`, `under2`: the lines there).
 */
export function stickyAt(steps: readonly Step[], meta: LogMeta | null, top: number, under: number, under2: number): Step[] {
  if (meta === null || top === 0) return [];
  const chain = (n: number) => {
    const owner = ownerOf(meta.ranges, n);
    return owner === null ? [] : lineage(steps, owner);
  };
  const [outer] = chain(under);
  if (outer === undefined || outer.first_line >= top) return [];
  const [same, inner] = chain(under2);
  return same === outer && inner !== undefined && inner.first_line < under ? [outer, inner] : [outer];
}

/** Steps whose headers stand above line `n`: at most the outermost two. */
export function stickyFor(steps: readonly Step[], meta: LogMeta | null, n: number): Step[] {
  if (meta === null || n === 0) return [];
  const owner = ownerOf(meta.ranges, n);
  if (owner === null) return [];
  return lineage(steps, owner)
    .filter((step) => step.first_line < n)
    .slice(0, 2);
}
