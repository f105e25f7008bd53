// Searches whose ends are told: which ends belong to one, and how the browser keeps them.

import type { Execution } from '$lib/api/types';
import { parseTime } from '$lib/format/status';
import { isEnd } from '$lib/live/fold';
import { dayStart, matches, parseQuery, type Term } from './query';

/** A saved search that the reader wants to hear of. */
export interface ToldSearch {
  readonly name: string;
  /** For everybody: it may change or go without this browser. */
  readonly shared: boolean;
  readonly query: string;
  /** What ended earlier by the server's clock is not told: milliseconds. */
  readonly since: number;
}

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};

/** The conditions that an execution meets when it ends; `null`: the line is not understood. */
export function endTerms(query: string): readonly Term[] | null {
  const { terms, mistakes } = parseQuery(query);
  if (mistakes.length > 0) return null;
  return terms.filter(({ key, not, value }) => {
    if (key === 'order') return false;
    // Who looks at what runs wants to hear when it runs no more.
    return !(key === 'status' && !not && (value === 'running' || value === 'pending'));
  });
}

/** The moment that `after:` or `before:` names, an age counted back from `now`. */
function moment(value: string, now: number): number {
  const [, count, unit] = /^(\d+)([smhdw])$/.exec(value) ?? [];
  if (count !== undefined) return now - Number(count) * (UNITS[unit!] ?? 0);
  return dayStart(value)?.getTime() ?? Date.parse(value);
}

/** Whether `execution` has ended, within the search, since the reader asked. */
export function endsIn(search: ToldSearch, execution: Execution, now: number): boolean {
  const ended = parseTime(execution.completed_at) ?? parseTime(execution.created_at);
  if (!isEnd(execution) || ended === null || ended < search.since) return false;
  const created = Date.parse(execution.created_at);
  return (
    endTerms(search.query)?.every((term) => {
      if (term.key === 'after') return created >= moment(term.value, now);
      if (term.key === 'before') return created < moment(term.value, now);
      return matches([term], execution);
    }) ?? false
  );
}

/** As `JSON.stringify` wrote them; anything else is nobody's wish. */
export function readTold(text: string | null): readonly ToldSearch[] {
  try {
    const found: unknown = JSON.parse(text ?? '[]');
    if (!Array.isArray(found)) return [];
    return found.filter(
      (one: Partial<ToldSearch> | null): one is ToldSearch =>
        typeof one?.name === 'string' &&
        typeof one.shared === 'boolean' &&
        typeof one.query === 'string' &&
        typeof one.since === 'number',
    );
  } catch {
    return [];
  }
}

/** `told`, with those of one kind as they are saved now: changed ones changed, others forgotten. */
export function asSaved(
  told: readonly ToldSearch[],
  shared: boolean,
  saved: readonly { readonly name: string; readonly query: string }[],
): readonly ToldSearch[] {
  return told.flatMap((one) => {
    if (one.shared !== shared) return [one];
    const now = saved.find(({ name }) => name === one.name);
    return now === undefined ? [] : [now.query === one.query ? one : { ...one, query: now.query }];
  });
}
