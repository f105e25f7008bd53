// What a screen reader is told while a log grows: at most once in five seconds, what is new in sum.

export const QUIET_MS = 5_000;

export interface Seen {
  readonly lines: number;
  readonly errors: number;
  /** Name and status of each step, by index. */
  readonly steps: ReadonlyMap<number, string>;
}

export interface News {
  readonly lines: number;
  readonly errors: number;
  /** Steps that are in another status than before, the last one only. */
  readonly step: number | null;
}

/** What has come since `before`; `null`: nothing. */
export function news(before: Seen, now: Seen): News | null {
  let step: number | null = null;
  for (const [index, status] of now.steps) if (before.steps.get(index) !== status) step = index;
  const lines = Math.max(0, now.lines - before.lines);
  const errors = Math.max(0, now.errors - before.errors);
  return lines === 0 && errors === 0 && step === null ? null : { lines, errors, step };
}
