// Rows of the log that are not lines: output that is missing, and steps without a line of their own.

import type { LogGap, Step } from '$lib/api/types';
import { foldedBy } from './folds';
import type { BesideLine } from './pane';
import type { Beside, StepHead } from './row';

/** The step whose header takes each line, and the steps that stand beside one. */
export interface Heads {
  /** By line: the innermost, or last, of the steps that begin there. */
  readonly own: ReadonlyMap<number, Step>;
  /** By line: the others, in order. */
  readonly before: ReadonlyMap<number, readonly Step[]>;
  /** Steps that began when nothing came any more. */
  readonly behind: readonly Step[];
}

/** GitHub, GitLab, Azure, TeamCity, Travis, Buildkite, Jenkins: their steps begin with a marker; what a tool prints there is output. */
const MARKER = /^(git|azu|tea|tra|bui|jen)/;

/**
 * Where headers stand. Of several steps that begin at one line the last one has the line, the others
 * rows above it. `lines`: how many there are; `Infinity` while more may come. `apart`: the lines are
 * no markers, as in an imported log, and are shown below the headers; so are those that a tool printed.
 */
export function headsOf(steps: readonly Step[], folded: ReadonlySet<number>, lines: number, apart = false): Heads {
  const own = new Map<number, Step>();
  const before = new Map<number, Step[]>();
  const behind: Step[] = [];
  const by = folded.size === 0 ? [] : foldedBy(steps, folded);
  for (const step of steps) {
    const above = by[step.index] ?? null;
    if (above !== null && above !== step.index) continue;
    if (step.first_line > lines) {
      behind.push(step);
      continue;
    }
    const printed = apart || !MARKER.test(step.dialect ?? 'git');
    const beside = printed ? step : own.get(step.first_line);
    if (!printed) own.set(step.first_line, step);
    if (beside === undefined) continue;
    const others = before.get(step.first_line);
    if (others === undefined) before.set(step.first_line, [beside]);
    else others.push(beside);
  }
  return { own, before, behind };
}

/** The rows beside lines. `tell` words a gap. */
export function besideOf(
  heads: Heads,
  gaps: readonly LogGap[],
  lines: number,
  head: (step: Step) => StepHead,
  tell: (gap: LogGap) => Beside,
): Map<number, BesideLine> {
  const found = new Map<number, { before: Beside[]; after: Beside[] }>();
  if (lines === 0) return found;
  const at = (n: number) => {
    let one = found.get(n);
    if (one === undefined) found.set(n, (one = { before: [], after: [] }));
    return one;
  };
  // A gap stands before the line that it precedes, and before the headers of steps that begin there.
  for (const gap of gaps) {
    if (gap.line > lines) at(lines).after.push(tell(gap));
    else at(Math.max(1, gap.line)).before.push(tell(gap));
  }
  for (const [n, steps] of heads.before) {
    for (const step of steps) at(n).before.push({ kind: 'head', head: head(step) });
  }
  for (const step of heads.behind) at(lines).after.push({ kind: 'head', head: head(step) });
  return found;
}
