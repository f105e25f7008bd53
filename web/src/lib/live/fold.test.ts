import { describe, expect, it } from 'vitest';
import type { Execution, ServerMessage, Step } from '$lib/api/types';
import { emptyView, foldExecution, foldExecutions, isEnd, merge, reconcile, stepTree } from './fold';

function execution(id: string, more: Partial<Execution> = {}): Execution {
  return {
    id, name: id, command: 'x', working_directory: '/', status: 'running', exit_code: null,
    error_message: null, created_at: '', started_at: null, completed_at: null, environment: {},
    user: '', tags: [], pinned: false, total_steps: 0, completed_steps: 0, current_step_index: -1,
    duration_seconds: null, progress_percentage: 0, metadata: {}, reason: null, signal: null,
    cancelling: false, paused: false, failed_steps: 0, skipped_steps: 0, progress: null,
    progress_text: null, current_step_name: null, lines: 0, bytes: 0, warnings: 0,
    artifacts_count: 0, source: 'cli', pty: false, rerun_of: null, containment: '', unresponsive: false, host: '', ...more,
  };
}

function step(index: number, more: Partial<Step> = {}): Step {
  return {
    id: `s${index}`, execution_id: 'e', name: `step ${index}`, description: '', index,
    status: 'running', exit_code: null, error_message: null, created_at: '', started_at: null,
    completed_at: null, estimated_duration: null, progress: null, progress_text: null,
    duration_seconds: null, metadata: {},
    is_finished: false, stop_on_error: false, parent: null, key: null, depth: 0, first_line: 1,
    last_line: null, start_offset: 0, end_offset: null, logs: [], ...more,
  };
}

const clone = <T>(value: T): T => structuredClone(value);

describe('identity', () => {
  it('is kept for lists that are equal', () => {
    const before = [step(0), step(1)];
    expect(reconcile(before, clone(before), (s) => s.index)).toBe(before);
    expect(merge(before, [clone(before[1]!)], (s) => s.index, (a, b) => a.index - b.index)).toBe(before);
  });

  it('is kept for the items that did not change', () => {
    const before = [step(0), step(1)];
    const after = merge(
      before,
      [step(1, { status: 'completed' }), step(2)],
      (s) => s.index,
      (a, b) => a.index - b.index,
    );
    expect(after).not.toBe(before);
    expect(after[0]).toBe(before[0]);
    expect(after.map((s) => s.status)).toEqual(['running', 'completed', 'running']);
  });
});

describe('executions', () => {
  it('are newest first, and change in place', () => {
    let list = foldExecutions([], [execution('a'), execution('c')]);
    list = foldExecutions(list, [execution('b')]);
    expect(list.map((e) => e.id)).toEqual(['c', 'b', 'a']);
    const after = foldExecutions(list, [execution('b', { status: 'failed' })]);
    expect(after.map((e) => e.id)).toEqual(['c', 'b', 'a']);
    expect(after[0]).toBe(list[0]);
    expect(isEnd(after[1]!)).toBe(true);
  });
});

describe('one execution', () => {
  const state: ServerMessage = {
    op: 'state', sub: 1, execution: execution('e', { lines: 3, bytes: 30 }), steps: [step(0)],
    artifacts: [], annotations: [], cursor: '30.1',
  };

  it('takes a state, then updates', () => {
    const first = foldExecution(emptyView, state);
    expect(first.extent).toEqual({ lines: 3, bytes: 30, ended: false });
    expect(first.cursor).toBe('30.1');
    const next = foldExecution(first, {
      op: 'update', sub: 1, execution: execution('e', { lines: 5, bytes: 50 }), steps: [step(1)],
      artifacts: [], annotations: [{ code: 'c', message: 'm', line: 4, step: 1, time: 't' }],
      cursor: '50.4',
    });
    expect(next.steps).toHaveLength(2);
    expect(next.steps[0]).toBe(first.steps[0]);
    expect(next.annotations).toHaveLength(1);
    expect(next.cursor).toBe('50.4');
  });

  it('the same state again, as after a reconnect, changes nothing', () => {
    const first = foldExecution(emptyView, state);
    const again = foldExecution(first, clone(state));
    expect(again.execution).toBe(first.execution);
    expect(again.steps).toBe(first.steps);
    expect(again.extent).toBe(first.extent);
  });

  it('an annotation that is told twice is one', () => {
    const note = { code: 'c', message: 'm', line: 4, step: 1, time: 't' };
    const update: ServerMessage = { ...state, op: 'update', annotations: [note] } as ServerMessage;
    const twice = foldExecution(foldExecution(emptyView, update), clone(update));
    expect(twice.annotations).toHaveLength(1);
  });

  it('the log only grows, and an end stays', () => {
    const at = (lines: number, ended: boolean): ServerMessage => ({
      op: 'position', sub: 1, lines, bytes: lines * 10, seq: 1, cursor: `${lines * 10}.1`, ended,
    });
    let view = foldExecution(emptyView, at(10, false));
    view = foldExecution(view, at(20, true));
    view = foldExecution(view, at(15, false));
    expect(view.extent).toEqual({ lines: 20, bytes: 200, ended: true });
  });
});

describe('the step tree', () => {
  const names = (steps: Step[]) => stepTree(steps).map((n) => `${'  '.repeat(n.level - 1)}${n.step.index}`);

  it('puts children under their parents, in order of start', () => {
    expect(names([step(0), step(1), step(2, { parent: 0 }), step(3, { parent: 2 }), step(4, { parent: 0 })]))
      .toEqual(['0', '  2', '    3', '  4', '1']);
  });

  it('shows every step once, whatever the parents say', () => {
    expect(names([step(0, { parent: 1 }), step(1, { parent: 0 }), step(2, { parent: 9 }), step(3, { parent: 3 })]))
      .toEqual(['0', '  1', '2', '3']);
  });

  it('takes ten thousand steps nested in each other', () => {
    const steps = Array.from({ length: 10_000 }, (_, i) => step(i, { parent: i === 0 ? null : i - 1 }));
    expect(stepTree(steps)).toHaveLength(10_000);
  });
});
