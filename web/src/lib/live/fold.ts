// Folds from messages to what a page shows. Whatever did not change keeps its identity, so that
// the page touches only what did. No clock, no I/O.

import type {
  Annotation,
  Artifact,
  Execution,
  ExecutionDetail,
  ServerMessage,
  Step,
} from '$lib/api/types';

/** The server's message with this `op`. */
type Said<Op extends ServerMessage['op']> = Extract<ServerMessage, { op: Op }>;

/** Whether two values of JSON are equal. */
export function same(a: unknown, b: unknown): boolean {
  if (a === b) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const left = a as Record<string, unknown>;
  const right = b as Record<string, unknown>;
  const keys = Object.keys(left);
  if (keys.length !== Object.keys(right).length) return false;
  return keys.every((key) => key in right && same(left[key], right[key]));
}

function keep<T>(before: T | undefined, after: T): T {
  return before !== undefined && same(before, after) ? before : after;
}

/** `after`, with `before`'s own objects where they are equal; `before` itself when all are. */
export function reconcile<T>(
  before: readonly T[],
  after: readonly T[],
  key: (item: T) => string | number,
): readonly T[] {
  const known = new Map(before.map((item) => [key(item), item]));
  const merged = after.map((item) => keep(known.get(key(item)), item));
  const equal =
    merged.length === before.length && merged.every((item, index) => item === before[index]);
  return equal ? before : merged;
}

/** `list` with `changed` put in by key: known ones replaced in place, new ones in `order`. */
export function merge<T>(
  list: readonly T[],
  changed: readonly T[],
  key: (item: T) => string | number,
  order: (a: T, b: T) => number,
): readonly T[] {
  if (changed.length === 0) return list;
  const place = new Map(list.map((item, index) => [key(item), index]));
  let merged: T[] | null = null;
  let grown = false;
  for (const item of changed) {
    merged ??= [...list];
    const at = place.get(key(item));
    if (at === undefined) {
      place.set(key(item), merged.length);
      merged.push(item);
      grown = true;
    } else {
      merged[at] = keep(merged[at], item);
    }
  }
  if (merged === null) return list;
  if (grown) return merged.sort(order);
  return merged.every((item, index) => item === list[index]) ? list : merged;
}

/** How far the log has come. */
export interface Extent {
  readonly lines: number;
  readonly bytes: number;
  readonly ended: boolean;
}

/** All that the page of one execution shows but for the log's text. */
export interface ExecutionView {
  readonly execution: Execution | null;
  readonly steps: readonly Step[];
  readonly artifacts: readonly Artifact[];
  readonly annotations: readonly Annotation[];
  readonly extent: Extent;
  /** Where to go on after a break. */
  readonly cursor: string | null;
}

export const emptyView: ExecutionView = {
  execution: null,
  steps: [],
  artifacts: [],
  annotations: [],
  extent: { lines: 0, bytes: 0, ended: false },
  cursor: null,
};

const stepKey = (step: Step) => step.index;
const byIndex = (a: Step, b: Step) => a.index - b.index;
const artifactKey = (artifact: Artifact) => artifact.id;
/** In order of arrival, which is the order of declaration. */
const asTheyCame = () => 0;
const annotationKey = (a: Annotation) => `${a.line} ${a.code} ${a.time} ${a.message}`;
const byTime = (a: Annotation, b: Annotation) => a.line - b.line;

/** Whether `execution` will change no more. */
export function isEnd(execution: Pick<Execution, 'status'>): boolean {
  return execution.status !== 'pending' && execution.status !== 'running';
}

function grow(extent: Extent, lines: number, bytes: number, ended: boolean): Extent {
  // A record only grows: what arrives late tells of an earlier moment.
  const next = {
    lines: Math.max(extent.lines, lines),
    bytes: Math.max(extent.bytes, bytes),
    ended: extent.ended || ended,
  };
  return same(extent, next) ? extent : next;
}

/** The view after a complete answer, from `GET /api/executions/{id}` or a `state` message. */
export function foldDetail(
  view: ExecutionView,
  detail: Omit<ExecutionDetail, 'status' | 'logs' | 'stored_bytes' | 'compressed'>,
): ExecutionView {
  const { execution } = detail;
  return {
    ...view,
    execution: keep(view.execution ?? undefined, execution),
    steps: reconcile(view.steps, detail.steps, stepKey),
    artifacts: reconcile(view.artifacts, detail.artifacts, artifactKey),
    annotations: reconcile(view.annotations, detail.annotations, annotationKey),
    extent: grow(view.extent, execution.lines, execution.bytes, false),
  };
}

/** The view after one message of the topic `execution`. */
export function foldExecution(view: ExecutionView, message: ServerMessage): ExecutionView {
  switch (message.op) {
    case 'state':
      return { ...foldDetail(view, message), cursor: message.cursor };
    case 'update': {
      const { execution } = message;
      return {
        execution: keep(view.execution ?? undefined, execution),
        steps: merge(view.steps, message.steps, stepKey, byIndex),
        artifacts: merge(view.artifacts, message.artifacts, artifactKey, asTheyCame),
        annotations: merge(view.annotations, message.annotations, annotationKey, byTime),
        extent: grow(view.extent, execution.lines, execution.bytes, false),
        cursor: message.cursor,
      };
    }
    case 'position':
      return foldPosition(view, message);
    case 'end':
      return {
        ...view,
        extent: grow(view.extent, 0, 0, true),
        cursor: message.cursor,
      };
    default:
      return view;
  }
}

function foldPosition(view: ExecutionView, message: Said<'position'>): ExecutionView {
  return {
    ...view,
    extent: grow(view.extent, message.lines, message.bytes, message.ended),
    cursor: message.cursor,
  };
}

const executionKey = (execution: Execution) => execution.id;
/** Newest first, as the server lists them: by creation, then by id. Imported ids have no order. */
export const newestFirst = (a: Execution, b: Execution): number => {
  if (a.created_at !== b.created_at) return a.created_at < b.created_at ? 1 : -1;
  return a.id < b.id ? 1 : a.id > b.id ? -1 : 0;
};

/** `list`, newest first, with `changed` put in. */
export function foldExecutions(
  list: readonly Execution[],
  changed: readonly Execution[],
): readonly Execution[] {
  return merge(list, changed, executionKey, newestFirst);
}

/** One row of the step tree. */
export interface StepNode {
  readonly step: Step;
  readonly level: number;
}

/** The steps in the order of the tree: each under its parent, siblings in order of start. */
export function stepTree(steps: readonly Step[]): readonly StepNode[] {
  const known = new Set(steps.map(stepKey));
  const children = new Map<number | null, Step[]>();
  for (const step of steps) {
    // A parent that is unknown, or not older, would lose the step or make a ring.
    const parent =
      step.parent !== null && step.parent < step.index && known.has(step.parent)
        ? step.parent
        : null;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [step]);
    else siblings.push(step);
  }
  const nodes: StepNode[] = [];
  const open: { siblings: Step[]; next: number }[] = [{ siblings: children.get(null) ?? [], next: 0 }];
  while (open.length > 0) {
    const top = open[open.length - 1]!;
    const step = top.siblings[top.next];
    if (step === undefined) {
      open.pop();
      continue;
    }
    top.next += 1;
    nodes.push({ step, level: open.length });
    const below = children.get(step.index);
    if (below !== undefined) open.push({ siblings: below, next: 0 });
  }
  return nodes;
}
