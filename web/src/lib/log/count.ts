// What may be said of the number of lines.

import type { LogMeta } from '$lib/api/types';

export type Count =
  /** Numbers are contiguous, and the server confirms that all of it is on disk. */
  | { readonly kind: 'whole' }
  /** The end may be missing: so many bytes are not confirmed. */
  | { readonly kind: 'unsynced'; readonly bytes: number }
  | { readonly kind: 'gaps'; readonly gaps: number; readonly first: number }
  /** Not confirmed yet, or it still runs. */
  | { readonly kind: 'plain' };

/** `lines`: what the page knows of. */
export function countOf(meta: LogMeta | null, lines: number): Count {
  if (meta === null) return { kind: 'plain' };
  const gap = meta.gaps[0];
  if (gap !== undefined) return { kind: 'gaps', gaps: meta.gaps.length, first: gap.line };
  if (!meta.complete || meta.scanned_lines < lines || !contiguous(meta)) return { kind: 'plain' };
  if (!meta.ended) return { kind: 'plain' }; // What was printed last is always unsynced for a moment.
  const unsafe = meta.bytes - (meta.safe_bytes ?? 0);
  return unsafe > 0 ? { kind: 'unsynced', bytes: unsafe } : { kind: 'whole' };
}

/** Whether the ranges of the steps cover the log without holes. */
function contiguous(meta: LogMeta): boolean {
  let next = 1;
  for (const range of meta.ranges) {
    if (range.first_line !== next) return false;
    if (range.last_line === null) return true;
    next = range.last_line + 1;
  }
  return meta.lines === 0 || next > meta.lines;
}
