import { describe, expect, it } from 'vitest';
import type { LogGap, Step } from '$lib/api/types';
import { besideOf, headsOf } from './beside';
import type { StepHead } from './row';

const step = (index: number, first_line: number, parent: number | null = null) =>
  ({ index, first_line, parent, name: `s${index}` }) as Step;
const head = (one: Step) => ({ index: one.index, name: one.name }) as StepHead;
const gap = (line: number): LogGap => ({ line, bytes: null, reason: 'recovered', message: 'm' });
const tell = (one: LogGap) => ({ kind: 'gap', text: one.reason, detail: one.message }) as const;
const NONE: ReadonlySet<number> = new Set();

describe('L1 L2 L21: rows that are not lines', () => {
  it('L1: gives a line that begins several steps a header for each', () => {
    const steps = [step(0, 1), step(1, 4), step(2, 4), step(3, 4), step(4, 9)];
    const heads = headsOf(steps, NONE, 9);
    expect([...heads.own].map(([n, one]) => [n, one.index])).toEqual([[1, 0], [4, 3], [9, 4]]);
    const beside = besideOf(heads, [], 9, head, tell);
    expect([...beside.keys()]).toEqual([4]);
    expect(beside.get(4)?.before.map((one) => one.kind === 'head' && one.head.index)).toEqual([1, 2]);
  });

  it('hides no line of a log that has no markers', () => {
    const heads = headsOf([step(0, 1), step(1, 1), step(2, 6)], NONE, 9, true);
    expect(heads.own.size).toBe(0);
    expect([...heads.before].map(([n, all]) => [n, all.map((one) => one.index)])).toEqual([[1, [0, 1]], [6, [2]]]);
  });

  it('hides no line that a tool printed, only markers', () => {
    const told = (index: number, first_line: number, dialect: string) => ({ ...step(index, first_line), dialect });
    const steps = [step(0, 1), told(1, 2, 'pytest'), told(2, 3, 'pytest'), told(3, 6, 'github')];
    const heads = headsOf(steps, NONE, 9);
    expect([...heads.own].map(([n, one]) => [n, one.index])).toEqual([[1, 0], [6, 3]]);
    expect([...heads.before].map(([n, all]) => [n, all.map((one) => one.index)])).toEqual([[2, [1]], [3, [2]]]);
  });

  it('shows steps that began when nothing came any more behind the last line, once it is the last', () => {
    const steps = [step(0, 1), step(1, 6)];
    expect(headsOf(steps, NONE, Infinity).behind).toEqual([]);
    const heads = headsOf(steps, NONE, 5);
    expect(besideOf(heads, [], 5, head, tell).get(5)?.after).toEqual([{ kind: 'head', head: head(steps[1]!) }]);
  });

  it('hides the header of a step in a folded one that begins at the same line', () => {
    const heads = headsOf([step(0, 2), step(1, 2, 0)], new Set([0]), 9);
    expect(heads.own.get(2)?.index).toBe(0);
    expect(heads.before.size).toBe(0);
  });

  it('L2: draws a gap before the line that it precedes, above headers, and at the end behind the last', () => {
    const heads = headsOf([step(0, 3), step(1, 3)], NONE, 7);
    const beside = besideOf(heads, [gap(3), gap(8)], 7, head, tell);
    expect(beside.get(3)?.before.map((one) => one.kind)).toEqual(['gap', 'head']);
    expect(beside.get(7)?.after.map((one) => one.kind)).toEqual(['gap']);
    expect(besideOf(heads, [gap(1)], 0, head, tell).size).toBe(0);
  });
});
