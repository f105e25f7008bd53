// Steps on an axis of time: bars, the critical path, ticks, zoom, and a trace for other tools. Pure.

import type { Execution, Step, Usual } from '$lib/api/types';
import type { StepNode } from '$lib/live/fold';

export interface Bar {
  readonly step: Step;
  readonly level: number;
  /** Milliseconds UTC. */
  readonly from: number;
  readonly to: number;
  readonly critical: boolean;
  /** Milliseconds it usually takes. */
  readonly usual: number | null;
  readonly slower: boolean;
}

export interface Span {
  readonly from: number;
  readonly to: number;
}

export interface Timeline {
  /** From when it was accepted to its end, or now. */
  readonly whole: Span;
  readonly created: number;
  /** When the script was started; `null`: not yet. */
  readonly started: number | null;
  readonly bars: readonly Bar[];
}

/** Slower is what takes a fifth longer than usual, and a second at least. */
export function isSlower(ms: number, usualMs: number | null): boolean {
  return usualMs !== null && ms > usualMs * 1.2 && ms - usualMs >= 1000;
}

export function timeline(
  execution: Execution,
  nodes: readonly StepNode[],
  usual: Usual | null,
  now: number,
): Timeline {
  const created = Date.parse(execution.created_at);
  const started = execution.started_at === null ? null : Date.parse(execution.started_at);
  const ended = execution.completed_at === null ? null : Date.parse(execution.completed_at);
  const known = new Map<number, number>();
  for (const one of usual?.steps ?? []) if (one.step !== null) known.set(one.step, one.seconds * 1000);
  const ends = (step: Step) =>
    step.completed_at === null ? (ended ?? now) : Date.parse(step.completed_at);
  const critical = criticalPath(
    nodes.map(({ step }) => step),
    ends,
  );
  let last = ended ?? Math.max(now, started ?? created);
  const bars = nodes.map(({ step, level }): Bar => {
    const from = Date.parse(step.started_at ?? step.created_at);
    const to = Math.max(from, ends(step));
    last = Math.max(last, to);
    const usually = known.get(step.index) ?? null;
    return {
      step,
      level,
      from,
      to,
      critical: critical.has(step.index),
      usual: usually,
      slower: isSlower(to - from, usually),
    };
  });
  return { whole: { from: created, to: Math.max(last, created + 1) }, created, started, bars };
}

/**
 * The steps that decided how long it took: from the one that ended last back over those that it
 * waited for, in each step of that chain again.
 */
export function criticalPath(
  steps: readonly Step[],
  ends: (step: Step) => number,
): ReadonlySet<number> {
  const families = new Map<number | null, Step[]>();
  const known = new Set(steps.map((step) => step.index));
  for (const step of steps) {
    if (step.status === 'skipped' || step.status === 'pending') continue;
    const parent = step.parent !== null && known.has(step.parent) ? step.parent : null;
    const family = families.get(parent);
    if (family === undefined) families.set(parent, [step]);
    else family.push(step);
  }
  const found = new Set<number>();
  const todo: (number | null)[] = [null];
  while (todo.length > 0) {
    const family = families.get(todo.pop() ?? null);
    if (family === undefined) continue;
    const byEnd = family
      .map((step) => ({ step, from: Date.parse(step.started_at ?? step.created_at), to: ends(step) }))
      .sort((a, b) => a.to - b.to || a.from - b.from);
    let at = byEnd.length - 1;
    while (at >= 0) {
      const { step, from } = byEnd[at]!;
      if (!found.has(step.index)) {
        found.add(step.index);
        if (step.index !== null) todo.push(step.index);
      }
      let before = at - 1;
      // A millisecond of overlap is the clock's, not the script's.
      while (before >= 0 && byEnd[before]!.to > from + 1) before -= 1;
      at = before;
    }
  }
  return found;
}

const STEPS_S = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400, 43_200, 86_400];

/** Round moments of `view`, as milliseconds since `origin`, at most `most` of them. */
export function ticks(view: Span, origin: number, most: number): readonly number[] {
  const wanted = (view.to - view.from) / Math.max(1, most);
  let step = STEPS_S.find((s) => s * 1000 >= wanted);
  if (wanted < 1000) {
    const power = 10 ** Math.floor(Math.log10(Math.max(wanted, 0.001)));
    step = ([1, 2, 5, 10].find((n) => n * power >= wanted) ?? 10) * power / 1000;
  }
  const ms = (step ?? 86_400 * Math.ceil(wanted / 86_400_000)) * 1000;
  const found: number[] = [];
  for (let n = Math.ceil((view.from - origin) / ms); n * ms <= view.to - origin; n++) found.push(n * ms);
  return found;
}

/** `view` nearer by `factor` (farther: below 1), the moment `at` staying where it is. */
export function zoom(view: Span, whole: Span, factor: number, at: number): Span {
  const length = Math.min(whole.to - whole.from, Math.max(1, (view.to - view.from) / factor));
  const share = (at - view.from) / Math.max(1, view.to - view.from);
  return within({ from: at - share * length, to: at + (1 - share) * length }, whole);
}

export function pan(view: Span, whole: Span, by: number): Span {
  return within({ from: view.from + by, to: view.to + by }, whole);
}

/** `view` moved, and where it is too long cut, into `whole`. */
export function within(view: Span, whole: Span): Span {
  const length = Math.min(view.to - view.from, whole.to - whole.from);
  const from = Math.min(Math.max(view.from, whole.from), whole.to - length);
  return { from, to: from + length };
}

/** A lane for each step: steps of one lane never overlap but for those that stand in each other. */
export function lanes(bars: readonly Bar[]): ReadonlyMap<number, number> {
  const found = new Map<number, number>();
  // Until when each lane is taken, for the family of each parent.
  const taken = new Map<number | null, Map<number, number>>();
  let count = 1;
  for (const bar of bars) {
    const { step, from, to } = bar;
    const family = taken.get(step.parent) ?? new Map<number, number>();
    taken.set(step.parent, family);
    const home = step.parent === null ? 0 : (found.get(step.parent) ?? 0);
    let lane = (family.get(home) ?? -Infinity) <= from ? home : undefined;
    lane ??= [...family].find(([, until]) => until <= from)?.[0];
    lane ??= count++;
    family.set(lane, to);
    found.set(step.index, lane);
  }
  return found;
}

/** As Chrome's tracing, Perfetto and Speedscope read it. Times in microseconds from the start. */
export function chromeTrace(execution: Execution, line: Timeline): string {
  const rows = lanes(line.bars);
  const us = (ms: number) => Math.round((ms - line.created) * 1000);
  const event = (name: string, from: number, to: number, tid: number, args: object) => ({
    name,
    cat: 'step',
    ph: 'X',
    ts: us(from),
    dur: Math.max(0, us(to) - us(from)),
    pid: 1,
    tid,
    args,
  });
  const events: object[] = [
    { name: 'process_name', ph: 'M', pid: 1, tid: 0, args: { name: execution.name } },
  ];
  if (line.started !== null && line.started > line.created) {
    events.push(event('queued', line.created, line.started, 0, {}));
  }
  for (const { step, from, to, critical } of line.bars) {
    const { status, first_line, last_line, exit_code, error_message } = step;
    const args = { status, first_line, last_line, exit_code, error_message, critical };
    events.push(event(step.name, from, to, (rows.get(step.index) ?? 0) + 1, args));
  }
  const otherData = { id: execution.id, command: execution.command, status: execution.status };
  return JSON.stringify({ displayTimeUnit: 'ms', otherData, traceEvents: events });
}
