// One line -> the pieces that a row shows: styles, links, search hits and row breaks together.

import type { Line } from '$lib/api/types';
import { tokenize, webAddress, type Segment } from './ansi';
import { breaks, columns as columnsIn } from './columns';

/** Of a longer line the page shows this much. */
export const SHOWN_MAX = 16_384;

export interface Piece extends Segment {
  /** Found by the search; `current`: the hit that the reader is at. */
  readonly hit?: 'hit' | 'current';
  /** A row begins before it. */
  readonly breaks?: boolean;
}

/** A hit in the text that is shown, in UTF-16 units. */
export interface Mark {
  readonly from: number;
  readonly to: number;
  readonly current: boolean;
}

/** What the line shows, before hits and breaks, and how many columns it has. */
export function segmentsOf(line: Line): Segment[] {
  const view = line.view;
  const text = view?.shown ?? (line.text.length > SHOWN_MAX ? line.text.slice(0, SHOWN_MAX) : line.text);
  const style = view?.style ? `\x1b[${view.style}m` : '';
  return withAddresses(tokenize(style + text));
}

/** The columns of a line; with what the server says, its. */
export function widthOf(line: Line): number {
  return line.view?.width ?? columnsIn(segmentsOf(line).map((one) => one.text).join(''));
}

/** Cuts `segments` where hits and rows begin and end. `columns`: wraps there; `null`: never. */
export function piecesOf(segments: readonly Segment[], marks: readonly Mark[], columns: number | null): Piece[] {
  if (marks.length === 0 && columns === null) return [...segments];
  const text = segments.map((segment) => segment.text).join('');
  const rows = new Set(columns === null ? [] : breaks(text, columns));
  const cuts = new Set(rows);
  for (const { from, to } of marks) cuts.add(from).add(to);
  const points = [...cuts].sort((a, b) => a - b);
  const out: Piece[] = [];
  let at = 0;
  let next = 0;
  for (const segment of segments) {
    const end = at + segment.text.length;
    let from = at;
    while (from < end) {
      while (next < points.length && points[next]! <= from) next += 1;
      const to = Math.min(end, points[next] ?? end);
      const mark = marks.find((one) => one.from <= from && from < one.to);
      out.push({
        ...segment,
        text: text.slice(from, to),
        ...(mark && { hit: mark.current ? ('current' as const) : ('hit' as const) }),
        ...(rows.has(from) && { breaks: true }),
      });
      from = to;
    }
    at = end;
  }
  return out;
}

const ADDRESS = /https?:\/\/[^\s<>"'`\\^{}|\u0000-\u001f\u007f-\u00a0]+/gi;

/** Makes links of the addresses that stand in the text. */
function withAddresses(segments: Segment[]): Segment[] {
  if (!segments.some((segment) => segment.text.includes('://'))) return segments;
  return segments.flatMap((segment) => {
    if (segment.link !== undefined || segment.symbol) return [segment];
    const out: Segment[] = [];
    let from = 0;
    for (const match of segment.text.matchAll(ADDRESS)) {
      // What ends a sentence, and a bracket that was opened before, is not part of it.
      let found = match[0].replace(/[.,;:!?*_]+$/, '');
      while (/[)\]]$/.test(found) && !balanced(found)) found = found.slice(0, -1).replace(/[.,;:!?]+$/, '');
      const link = webAddress(found);
      if (link === null) continue;
      if (match.index > from) out.push({ ...segment, text: segment.text.slice(from, match.index) });
      out.push({ ...segment, text: found, link });
      from = match.index + found.length;
    }
    if (from < segment.text.length) out.push({ ...segment, text: segment.text.slice(from) });
    return out;
  });
}

function balanced(text: string): boolean {
  const count = (char: string) => text.split(char).length;
  return text.endsWith(')') ? count('(') >= count(')') : count('[') >= count(']');
}
