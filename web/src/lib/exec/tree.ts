// Which rows the step tree has: collapsed, filtered, reduced to failures. Pure.

import type { Step } from '$lib/api/types';
import type { StepNode } from '$lib/live/fold';

export interface TreeRow {
  readonly step: Step;
  readonly level: number;
  /** Steps below it, at any depth. */
  readonly below: number;
  readonly open: boolean;
  /** Lines that say that something failed: its own, and while it is closed those below. */
  readonly errors: number;
  /** Its place among its siblings, from 1, and how many there are. */
  readonly place: number;
  readonly siblings: number;
  /** It ran at the same time as a sibling. */
  readonly parallel: boolean;
  readonly top: number;
  readonly height: number;
}

export interface TreeView {
  readonly collapsed: ReadonlySet<number>;
  readonly filter: string;
  readonly failures: boolean;
  readonly errors: ReadonlyMap<number, number>;
}

export const ROW_PX = 30;
export const NOTED_ROW_PX = 48;

/** The second line of a step, if it has one. */
export function noteOf(step: Step): string | null {
  if (step.status === 'failed' || step.status === 'skipped') return step.error_message;
  const told = step.progress !== null || step.estimated_duration !== null;
  return step.status === 'running' && told ? (step.progress_text ?? '') : null;
}

/** The rows of `nodes`, which are in the order of the tree. */
export function treeRows(
  nodes: readonly StepNode[],
  view: TreeView,
  parallel: ReadonlySet<number>,
): readonly TreeRow[] {
  const wanted = view.filter.trim().toLowerCase();
  const reduced = wanted !== '' || view.failures;
  // From the last to the first: a parent stands before what is below it.
  const below = new Array<number>(nodes.length).fill(0);
  const errors = new Array<number>(nodes.length).fill(0);
  const kept = new Array<boolean>(nodes.length).fill(!reduced);
  const parents = new Array<number>(nodes.length).fill(-1);
  const path: number[] = [];
  nodes.forEach(({ level }, at) => {
    path.length = level - 1;
    parents[at] = path[level - 2] ?? -1;
    path[level - 1] = at;
  });
  for (let at = nodes.length - 1; at >= 0; at--) {
    const { step } = nodes[at]!;
    const own = view.errors.get(step.index) ?? 0;
    if (reduced) {
      const named = wanted === '' || step.name.toLowerCase().includes(wanted);
      const failed = !view.failures || step.status === 'failed' || own > 0;
      if (named && failed) kept[at] = true;
    }
    errors[at]! += own;
    const parent = parents[at]!;
    if (parent < 0) continue;
    below[parent]! += below[at]! + 1;
    errors[parent]! += errors[at]!;
    if (reduced && kept[at]) kept[parent] = true;
  }
  const counts = new Map<number, number>();
  nodes.forEach((_, at) => {
    if (kept[at]) counts.set(parents[at]!, (counts.get(parents[at]!) ?? 0) + 1);
  });
  const places = new Map<number, number>();
  const rows: TreeRow[] = [];
  let hidden = Infinity;
  let top = 0;
  nodes.forEach(({ step, level }, at) => {
    if (level > hidden) return;
    hidden = Infinity;
    if (!kept[at]) return;
    const parent = parents[at]!;
    const place = (places.get(parent) ?? 0) + 1;
    places.set(parent, place);
    const open = reduced || !view.collapsed.has(step.index);
    if (!open) hidden = level;
    const height = noteOf(step) === null ? ROW_PX : NOTED_ROW_PX;
    rows.push({
      step,
      level,
      below: below[at]!,
      open,
      errors: open ? (view.errors.get(step.index) ?? 0) : errors[at]!,
      place,
      siblings: counts.get(parent) ?? 1,
      parallel: parallel.has(step.index),
      top,
      height,
    });
    top += height;
  });
  return rows;
}

/** The first and the last (exclusive) of `rows` that stand between two heights, with some more. */
export function rowsBetween(
  rows: readonly Pick<TreeRow, 'top'>[],
  from: number,
  to: number,
  more = 8,
): [first: number, end: number] {
  const at = (px: number) => {
    let low = 0;
    let high = rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle]!.top <= px) low = middle + 1;
      else high = middle;
    }
    return low;
  };
  return [Math.max(0, at(from) - 1 - more), Math.min(rows.length, at(to) + more)];
}

/** The steps that ran at the same time as one of their siblings. */
export function parallelSteps(steps: readonly Step[]): ReadonlySet<number> {
  const families = new Map<number | null, { index: number; from: number; to: number }[]>();
  for (const step of steps) {
    if (step.started_at === null || step.status === 'skipped') continue;
    const from = Date.parse(step.started_at);
    const to = step.completed_at === null ? Infinity : Date.parse(step.completed_at);
    const family = families.get(step.parent);
    const one = { index: step.index, from, to };
    if (family === undefined) families.set(step.parent, [one]);
    else family.push(one);
  }
  const found = new Set<number>();
  for (const family of families.values()) {
    family.sort((a, b) => a.from - b.from);
    let last: { index: number; to: number } | null = null;
    for (const one of family) {
      if (last !== null && one.from < last.to) found.add(last.index).add(one.index);
      if (last === null || one.to > last.to) last = one;
    }
  }
  return found;
}
