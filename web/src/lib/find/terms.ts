// What the page of the search over all logs is asked for, as its address has it.

import { STATUSES } from '$lib/history/query';

export interface Terms {
  readonly text: string;
  readonly regex: boolean;
  readonly caseSensitive: boolean;
  readonly name: string;
  readonly tag: string;
  readonly status: string;
  readonly since: string;
  readonly step: string;
}

/** How far back is offered; anything that the server understands may stand in the address. */
export const SINCE = ['1h', '24h', '7d', '30d', '90d'] as const;

export function read(query: URLSearchParams): Terms {
  const text = (name: string) => query.get(name) ?? '';
  const status = text('status');
  return {
    text: text('q'),
    regex: query.get('re') === '1',
    caseSensitive: query.get('case') === '1',
    name: text('name'),
    tag: text('tag'),
    status: (STATUSES as readonly string[]).includes(status) ? status : '',
    since: text('since'),
    step: text('step'),
  };
}

/** As values of the address; `null`: not there. */
export function written(terms: Terms): Record<string, string | null> {
  const some = (text: string) => (text.trim() === '' ? null : text);
  return {
    q: terms.text === '' ? null : terms.text,
    re: terms.regex ? '1' : null,
    case: terms.caseSensitive ? '1' : null,
    name: some(terms.name),
    tag: some(terms.tag),
    status: some(terms.status),
    since: some(terms.since),
    step: some(terms.step),
  };
}

/** As parameters of `GET /api/search`. */
export function asked(terms: Terms): Record<string, string | number | null> {
  return {
    q: terms.text,
    regex: terms.regex ? 1 : 0,
    case: terms.caseSensitive ? 1 : 0,
    name_contains: terms.name.trim(),
    tag: terms.tag.trim(),
    status: terms.status,
    since: terms.since.trim(),
    step: terms.step.trim(),
  };
}

/** Where the log's own search shows a hit. */
export function place(id: string, terms: Terms, line: number | null): string {
  const query = new URLSearchParams({ q: terms.text });
  if (terms.regex) query.set('re', '1');
  if (terms.caseSensitive) query.set('case', '1');
  return `/executions/${encodeURIComponent(id)}?${query}${line === null ? '' : `#L${line}`}`;
}

/** A text cut at matches: each piece, and whether it is one. */
export function pieces(text: string, spans: readonly (readonly [number, number])[]): { text: string; hit: boolean }[] {
  const found: { text: string; hit: boolean }[] = [];
  let at = 0;
  for (const [from, to] of spans) {
    if (from > at) found.push({ text: text.slice(at, from), hit: false });
    if (to > Math.max(at, from)) found.push({ text: text.slice(Math.max(at, from), to), hit: true });
    at = Math.max(at, to);
  }
  if (at < text.length) found.push({ text: text.slice(at), hit: false });
  return found;
}
