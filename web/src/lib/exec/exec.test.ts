import { describe, expect, test } from 'vitest';
import type { Execution, Step } from '$lib/api/types';
import { stepTree } from '$lib/live/fold';
import { changes, failingStep, isSummary, plainText, stepChanges } from './digest';
import { groupFinds } from './finds';
import { hexRows } from './hex';
import { childPath, jsonRows } from './json';
import { arrange, columnTypes, hasHeader, numberOf } from './table';
import { chromeTrace, criticalPath, lanes, ticks, timeline, zoom } from './timeline';
import { parallelSteps, rowsBetween, treeRows } from './tree';

const at = (s: number) => new Date(Date.UTC(2026, 0, 1) + s * 1000).toISOString();
function step(index: number, name: string, from: number, to: number | null, more: Partial<Step> = {}): Step {
  return {
    index,
    name,
    parent: null,
    status: to === null ? 'running' : 'completed',
    created_at: at(from),
    started_at: at(from),
    completed_at: to === null ? null : at(to),
    duration_seconds: to === null ? null : to - from,
    is_finished: to !== null,
    error_message: null,
    progress: null,
    first_line: index * 10 + 1,
    last_line: null,
    ...more,
  } as Step;
}
const ends = (one: Step) => Date.parse(one.completed_at ?? at(100));

describe('step tree', () => {
  const steps = [
    step(0, 'Setup', 0, 1),
    step(1, 'Test', 1, 9, { status: 'failed' }),
    step(2, 'api', 1, 5, { parent: 1 }),
    step(3, 'browser', 3, 9, { parent: 1, status: 'failed', error_message: 'no' }),
  ];
  const nodes = stepTree(steps);
  const view = { collapsed: new Set<number>(), filter: '', failures: false, errors: new Map([[3, 4]]) };
  const names = (more: object) => treeRows(nodes, { ...view, ...more }, new Set()).map((row) => row.step.name);

  test('U3: hides what is below a closed step, and counts its errors there', () => {
    expect(names({})).toEqual(['Setup', 'Test', 'api', 'browser']);
    const rows = treeRows(nodes, { ...view, collapsed: new Set([1]) }, new Set());
    expect(rows.map((row) => [row.step.name, row.errors, row.below])).toEqual([
      ['Setup', 0, 0],
      ['Test', 4, 2],
    ]);
  });
  test('keeps the parents of what a filter finds', () => {
    expect(names({ filter: 'BROW' })).toEqual(['Test', 'browser']);
    expect(names({ failures: true, collapsed: new Set([1]) })).toEqual(['Test', 'browser']);
    expect(names({ filter: 'nothing' })).toEqual([]);
  });
  test('knows which steps ran at the same time', () => {
    expect([...parallelSteps(steps)]).toEqual([2, 3]);
  });
  test('U3: mounts few of ten thousand rows', () => {
    const many = stepTree(Array.from({ length: 10_000 }, (_, n) => step(n, `step ${n}`, n, n + 1)));
    const rows = treeRows(many, view, new Set());
    const [first, end] = rowsBetween(rows, 150_000, 150_900);
    expect(rows[first]!.top).toBeLessThanOrEqual(150_000);
    expect(rows[end - 1]!.top).toBeGreaterThanOrEqual(150_900);
    expect(end - first).toBeLessThan(60);
  });
});

describe('timeline', () => {
  test('U3: the critical path leads from the end back over what was waited for', () => {
    const steps = [
      step(0, 'a', 0, 5),
      step(1, 'short', 0, 2),
      step(2, 'b', 5, 9),
      step(3, 'inner', 5, 6, { parent: 2 }),
      step(4, 'long', 5, 9, { parent: 2 }),
      step(5, 'late', 6, 8),
    ];
    expect([...criticalPath(steps, ends)].sort()).toEqual([0, 2, 4]);
  });
  test('zoom keeps the moment below the pointer and stays within the whole', () => {
    const whole = { from: 0, to: 1000 };
    expect(zoom(whole, whole, 2, 250)).toEqual({ from: 125, to: 625 });
    expect(zoom({ from: 125, to: 625 }, whole, 0.1, 250)).toEqual(whole);
    expect(ticks(whole, 0, 4)).toEqual([0, 500, 1000]);
    expect(ticks({ from: 0, to: 60_000 }, 0, 6)).toEqual([0, 10_000, 20_000, 30_000, 40_000, 50_000, 60_000]);
  });
  test('a trace puts steps that overlap on lanes of their own', () => {
    const steps = [step(0, 'a', 1, 5), step(1, 'b', 2, 6), step(2, 'in a', 1, 2, { parent: 0 })];
    const execution = {
      id: 'x', name: 'n', command: 'c', status: 'completed',
      created_at: at(0), started_at: at(1), completed_at: at(6),
    } as Execution;
    const line = timeline(execution, stepTree(steps), null, 0);
    const rows = lanes(line.bars);
    expect([rows.get(0), rows.get(2), rows.get(1)]).toEqual([0, 0, 1]);
    const trace = JSON.parse(chromeTrace(execution, line)) as { traceEvents: { name: string; ts: number; dur: number }[] };
    expect(trace.traceEvents.find((one) => one.name === 'b')).toMatchObject({ ts: 2_000_000, dur: 4_000_000 });
    expect(trace.traceEvents.find((one) => one.name === 'queued')).toMatchObject({ ts: 0, dur: 1_000_000 });
  });
});

describe('digest', () => {
  test('names the innermost failed step and what changed', () => {
    const failed = [
      step(0, 'Test', 0, 9, { status: 'failed' }),
      step(1, 'unit', 0, 9, { status: 'failed', parent: 0 }),
    ];
    expect(failingStep(failed, null)?.name).toBe('unit');
    const before = { command: 'a', working_directory: '/', exit_code: 0, environment: { A: '1', B: '2' } } as unknown as Execution;
    const now = { command: 'a', working_directory: '/', exit_code: 1, environment: { A: '1', B: '3' } } as unknown as Execution;
    expect(changes(before, now)).toEqual([
      { kind: 'exit', before: '0', now: '1' },
      { kind: 'variable', name: 'B', before: '2', now: '3' },
    ]);
    expect(stepChanges([step(0, 'a', 0, 1), step(1, 'gone', 1, 2)], [step(0, 'a', 0, 9)], 5)).toEqual([
      { path: ['a'], before: 1, now: 9 },
      { path: ['gone'], before: 1, now: null },
    ]);
  });
  test('knows a summary and strips styles', () => {
    expect(isSummary({ name: 'out.md', description: ' Summary ' })).toBe(true);
    expect(isSummary({ name: 'a.summary.md', description: '' })).toBe(true);
    expect(isSummary({ name: 'readme.md', description: 'docs' })).toBe(false);
    expect(plainText('\u001b[31mred\u001b[0m')).toBe('red');
  });
});

test('finds are grouped by step in the order of lines', () => {
  const find = (line: number, owner: number | null) => ({ line, step: owner, level: 'error' as const, source: 'marker' as const, text: 'x' });
  const rows = groupFinds([find(9, 1), find(2, null), find(10, 1)]);
  expect(rows.map((row) => [row.find?.line ?? 'head', row.step, row.count])).toEqual([
    ['head', null, 1], [2, null, 1], ['head', 1, 2], [9, 1, 1], [10, 1, 1],
  ]);
});

test('U4: a table knows its columns, sorts numbers as numbers and keeps what is empty last', () => {
  const rows = [['name', 'n'], ['a', '10'], ['b', '9'], ['c', '']];
  expect(hasHeader(rows)).toBe(true);
  const body = rows.slice(1);
  const types = columnTypes(body, 2);
  expect(types).toEqual(['text', 'number']);
  expect(arrange(body, types, '', { column: 1, down: false })).toEqual([1, 0, 2]);
  expect(arrange(body, types, '', { column: 1, down: true })).toEqual([0, 1, 2]);
  expect(arrange(body, types, 'B', null)).toEqual([1]);
  // As text, 1.25 would stand behind 1.5, and -5 behind all.
  const numbers = [['1.5'], ['1.25'], ['-5'], ['1e3'], ['20']];
  expect(arrange(numbers, ['number'], '', { column: 0, down: false })).toEqual([2, 1, 0, 4, 3]);
  expect(['1,234.5', '12%', '-', '1e3', 'x1'].map(numberOf)).toEqual([1234.5, 12, null, 1000, null]);
});

test('U4: JSON opens to paths, and a search keeps what leads to a hit', () => {
  const value = { a: { 'b c': [1, 'x'] }, n: null };
  expect(jsonRows(value, (_, level) => level <= 1).map((row) => row.path)).toEqual(['$', '$.a', '$.n']);
  expect(jsonRows(value, () => false, 'x').map((row) => row.path)).toEqual(['$', '$.a', '$.a["b c"]', '$.a["b c"][1]']);
  expect(childPath('$', 3)).toBe('$[3]');
});

test('bytes are shown with their offset', () => {
  expect(hexRows('48690a')).toMatch(/^00000000 {2}48 69 0a +Hi\.$/);
});
