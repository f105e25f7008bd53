// What a failure is about, and what was different when it last went well. Pure.

import type { Execution, LogMeta, Step } from '$lib/api/types';

/** The step that failed: the first one that failed and has no failed step below it. */
export function failingStep(steps: readonly Step[], meta: LogMeta | null): Step | null {
  const failed = steps.filter((step) => step.status === 'failed');
  const parents = new Set(failed.map((step) => step.parent));
  const leaf = failed.find((step) => !parents.has(step.index)) ?? failed[0];
  if (leaf !== undefined) return leaf;
  const line = meta?.first_error?.line;
  if (line === undefined) return null;
  const range = meta?.ranges.find((r) => r.first_line <= line && (r.last_line ?? Infinity) >= line);
  return steps.find((step) => step.index === range?.step) ?? null;
}

export type Change =
  | { readonly kind: 'command'; readonly before: string; readonly now: string }
  | { readonly kind: 'directory'; readonly before: string; readonly now: string }
  | { readonly kind: 'exit'; readonly before: string; readonly now: string }
  | { readonly kind: 'variable'; readonly name: string; readonly before: string | null; readonly now: string | null };

/** What is said of `now` and was otherwise in `before`. */
export function changes(before: Execution, now: Execution): readonly Change[] {
  const found: Change[] = [];
  if (before.command !== now.command) {
    found.push({ kind: 'command', before: before.command, now: now.command });
  }
  if (before.working_directory !== now.working_directory) {
    found.push({ kind: 'directory', before: before.working_directory, now: now.working_directory });
  }
  const exit = (one: Execution) => String(one.exit_code ?? (one.signal === null ? '–' : `SIG ${one.signal}`));
  if (exit(before) !== exit(now)) found.push({ kind: 'exit', before: exit(before), now: exit(now) });
  for (const name of new Set([...Object.keys(before.environment), ...Object.keys(now.environment)])) {
    const was = before.environment[name] ?? null;
    const is = now.environment[name] ?? null;
    if (was !== is) found.push({ kind: 'variable', name, before: was, now: is });
  }
  return found;
}

export interface StepChange {
  readonly path: readonly string[];
  /** Seconds; `null`: it was not there. */
  readonly before: number | null;
  readonly now: number | null;
}

function byPath(steps: readonly Step[]): Map<string, { path: string[]; step: Step }> {
  const paths = new Map<number, string[]>();
  const seen = new Map<string, number>();
  const found = new Map<string, { path: string[]; step: Step }>();
  for (const step of steps) {
    const path = [...((step.parent === null ? undefined : paths.get(step.parent)) ?? []), step.name];
    paths.set(step.index, path);
    const key = path.join('\u0000');
    const at = seen.get(key) ?? 0;
    seen.set(key, at + 1);
    found.set(`${key}\u0000${at}`, { path, step });
  }
  return found;
}

/** Steps that took another time, or were in one only; the greatest differences first. */
export function stepChanges(
  before: readonly Step[],
  now: readonly Step[],
  most: number,
): readonly StepChange[] {
  const was = byPath(before);
  const is = byPath(now);
  const found: StepChange[] = [];
  for (const [key, { path, step }] of is) {
    const earlier = was.get(key)?.step.duration_seconds ?? null;
    const seconds = step.duration_seconds;
    const differs =
      earlier === null || seconds === null
        ? earlier !== seconds
        : Math.abs(seconds - earlier) >= Math.max(0.5, earlier * 0.1);
    if (differs) found.push({ path, before: earlier, now: seconds });
  }
  for (const [key, { path, step }] of was) {
    if (!is.has(key)) found.push({ path, before: step.duration_seconds, now: null });
  }
  const size = ({ before: b, now: n }: StepChange) => Math.abs((n ?? 0) - (b ?? 0));
  return found.sort((a, b) => size(b) - size(a)).slice(0, most);
}

/** Text without the sequences that colour it and link it. */
export function plainText(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/\u001b\[[\d;:]*m|\u001b\]8;[^\u0007\u001b]*(?:\u0007|\u001b\\)/g, '');
}

/** Whether a script gave this Markdown file to be shown as its summary. */
export function isSummary(artifact: { name: string; description: string }): boolean {
  const name = artifact.name.toLowerCase();
  if (name === 'summary.md' || name.endsWith('.summary.md')) return true;
  const markdown = name.endsWith('.md') || name.endsWith('.markdown');
  return markdown && artifact.description.trim().toLowerCase() === 'summary';
}
