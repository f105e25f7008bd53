// Errors, warnings and notices of one log as rows of a list, step by step. Pure.

import type { Annotation, LevelSource, LogLevel } from '$lib/api/types';

export interface Find {
  /** 0: about no line in particular. */
  readonly line: number;
  readonly step: number | null;
  readonly level: LogLevel;
  readonly source: LevelSource | 'recorder';
  readonly text: string;
}

/** What the recorder noted itself, or what the script points out in the markers of another system. */
export function noted(one: Annotation): Find {
  const { line, step, message: text, pointed } = one;
  if (pointed === undefined) return { line, step, level: 'warning', source: 'recorder', text };
  const { file, line: row, col, level } = pointed;
  const place = [file, row, col].filter((part) => part !== null).join(':');
  return {
    line,
    step,
    level: level === 'error' || level === 'notice' ? level : 'warning',
    source: 'marker',
    text: file === null ? text : `${place}: ${text}`,
  };
}

export interface FindRow {
  readonly key: string;
  readonly top: number;
  readonly height: number;
  /** `null`: the head of a group. */
  readonly find: Find | null;
  readonly step: number | null;
  readonly count: number;
}

const HEAD_PX = 34;
const FIND_PX = 32;

/** Groups in the order of their first line; within them in the order of lines. */
export function groupFinds(finds: readonly Find[]): readonly FindRow[] {
  const sorted = [...finds].sort((a, b) => a.line - b.line);
  const groups = new Map<number | null, Find[]>();
  for (const find of sorted) {
    const group = groups.get(find.step);
    if (group === undefined) groups.set(find.step, [find]);
    else group.push(find);
  }
  const rows: FindRow[] = [];
  let top = 0;
  for (const [step, group] of groups) {
    rows.push({ key: `step ${step}`, top, height: HEAD_PX, find: null, step, count: group.length });
    top += HEAD_PX;
    group.forEach((find, at) => {
      rows.push({ key: `${step} ${find.line} ${at}`, top, height: FIND_PX, find, step, count: 1 });
      top += FIND_PX;
    });
  }
  return rows;
}
