// The query line of the list: `status:failed after:7d duration:>5m exit:!0 nightly build`.
// Text in, terms and mistakes out; nothing here knows a page or a server.

import type { Execution } from '$lib/api/types';

export const KEYS = [
  'status',
  'name',
  'tag',
  'user',
  'source',
  'exit',
  'duration',
  'after',
  'before',
  'is',
  'order',
] as const;
export type QueryKey = (typeof KEYS)[number];

export const STATUSES = ['pending', 'running', 'completed', 'failed', 'cancelled'] as const;
export const SOURCES = ['cli', 'server', 'ingest', 'pipe', 'import'] as const;
export const ORDERS = ['newest', 'longest', 'shortest'] as const;
export type ListOrder = (typeof ORDERS)[number];
/** What an execution can be, besides its status. */
export const TRAITS = ['pinned'] as const;
/** Ages that menus offer. */
export const AGES = ['1h', '24h', '7d', '30d'] as const;
export const DURATIONS = ['>1m', '>5m', '>1h', '<10s'] as const;

/** One condition. */
export interface Term {
  readonly key: QueryKey;
  readonly not: boolean;
  /** Without quotes; of a duration with its sign. */
  readonly value: string;
}

export type MistakeCode =
  | 'key'
  | 'empty'
  | 'quote'
  | 'status'
  | 'source'
  | 'exit'
  | 'duration'
  | 'time'
  | 'is'
  | 'order'
  | 'not'
  | 'twice';

/** What cannot be understood, and where it stands: UTF-16 units of the text. */
export interface Mistake {
  readonly code: MistakeCode;
  readonly text: string;
  readonly from: number;
  readonly to: number;
}

export interface Query {
  readonly terms: readonly Term[];
  readonly mistakes: readonly Mistake[];
}

interface Token {
  readonly text: string;
  readonly from: number;
  readonly to: number;
  /** The key in front of the first colon outside quotes; `null`: a free word. */
  readonly key: string | null;
  readonly not: boolean;
  readonly value: string;
  readonly open: boolean;
}

/** Cuts at white space outside quotes. `\"` and `\\` inside quotes stand for themselves. */
function tokens(text: string): Token[] {
  const found: Token[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at += 1;
      continue;
    }
    const from = at;
    let key: string | null = null;
    let value = '';
    let not = false;
    let quoted = false;
    let wasQuoted = false;
    for (; at < text.length; at++) {
      const char = text[at]!;
      if (quoted) {
        if (char === '\\' && /["\\]/.test(text[at + 1] ?? '')) value += text[++at]!;
        else if (char === '"') quoted = false;
        else value += char;
      } else if (/\s/.test(char)) break;
      else if (char === '"') quoted = wasQuoted = true;
      else if (char === ':' && key === null && !wasQuoted && /^[a-z_]+$/i.test(value)) {
        key = value;
        value = '';
      } else if (char === '!' && key !== null && value === '' && !not && !wasQuoted) not = true;
      else value += char;
    }
    found.push({ text: text.slice(from, at), from, to: at, key, not, value, open: quoted });
  }
  return found;
}

/** Milliseconds of `90s`, `5m`, `1h30m`, `250ms`, `2d`; `null` for anything else. */
export function parseDuration(text: string): number | null {
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return null;
  const unit: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };
  let sum = 0;
  for (const [, count, , name] of text.matchAll(/(\d+(\.\d+)?)(ms|s|m|h|d)/g)) {
    sum += Number(count) * (unit[name!] ?? 0);
  }
  return sum;
}

const DAY = /^\d{4}-\d{2}-\d{2}$/;
const AGE = /^\d{1,6}(s|m|h|d|w)$/;
const MOMENT = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})$/i;

/** The first moment of a day in the reader's time zone; `null` when there is no such day. */
export function dayStart(day: string, later = 0): Date | null {
  if (!DAY.test(day)) return null;
  const [year = 0, month = 0, date = 0] = day.split('-').map(Number);
  const start = new Date(year, month - 1, date);
  if (start.getMonth() !== month - 1 || start.getDate() !== date) return null;
  return new Date(year, month - 1, date + later);
}

function check(key: QueryKey, not: boolean, value: string): MistakeCode | null {
  if (value === '') return 'empty';
  const is = (words: readonly string[], code: MistakeCode) => (words.includes(value) ? null : code);
  switch (key) {
    case 'status':
      return is(STATUSES, 'status');
    case 'source':
      return is(SOURCES, 'source');
    case 'exit':
      return /^-?\d{1,9}$/.test(value) ? null : 'exit';
    case 'duration':
      if (not) return 'not';
      return /^[<>]/.test(value) && parseDuration(value.slice(1)) !== null ? null : 'duration';
    case 'after':
    case 'before':
      if (not) return 'not';
      if (DAY.test(value)) return dayStart(value) === null ? 'time' : null;
      return AGE.test(value) || (MOMENT.test(value) && !Number.isNaN(Date.parse(value))) ? null : 'time';
    case 'is':
      return not ? 'not' : is(TRAITS, 'is');
    case 'order':
      return not ? 'not' : is(ORDERS, 'order');
    default:
      return null;
  }
}

/** Keys whose conditions cannot be turned round. */
export const ALWAYS: readonly QueryKey[] = ['duration', 'after', 'before', 'is', 'order'];

/** The order that the list is asked for. */
export function orderOf(terms: readonly Term[]): ListOrder {
  const asked = terms.find(({ key }) => key === 'order')?.value;
  return ORDERS.find((order) => order === asked) ?? 'newest';
}

/** Terms of which only one is understood have the same slot. */
export function slot(term: Term): string {
  if (term.key === 'duration') return `duration${term.value[0] ?? ''}`;
  return `${term.not ? '!' : ''}${term.key}`;
}

export function parseQuery(text: string): Query {
  const terms: Term[] = [];
  const mistakes: Mistake[] = [];
  const taken = new Set<string>();
  const words: Token[] = [];
  for (const token of tokens(text)) {
    const mistake = (code: MistakeCode) =>
      mistakes.push({ code, text: token.text, from: token.from, to: token.to });
    if (token.open) {
      mistake('quote');
      continue;
    }
    if (token.key === null) {
      words.push(token);
      continue;
    }
    const key = KEYS.find((known) => known === token.key!.toLowerCase());
    if (key === undefined) {
      mistake('key');
      continue;
    }
    const isWord = ['status', 'source', 'is', 'order'].includes(key);
    const value = isWord ? token.value.toLowerCase() : token.value;
    const wrong = check(key, token.not, value);
    if (wrong !== null) {
      mistake(wrong);
      continue;
    }
    const term = { key, not: token.not, value };
    if (taken.has(slot(term))) {
      mistake('twice');
      continue;
    }
    taken.add(slot(term));
    terms.push(term);
  }
  const free = words.map((word) => word.value).join(' ').trim();
  if (free !== '') {
    const first = words[0]!;
    if (taken.has('name')) {
      mistakes.push({ code: 'twice', text: first.text, from: first.from, to: first.to });
    } else {
      terms.push({ key: 'name', not: false, value: free });
    }
  }
  return { terms, mistakes };
}

function quoted(value: string): string {
  return /[\s"\\]/.test(value) || value === '' || /^!/.test(value)
    ? `"${value.replace(/["\\]/g, '\\$&')}"`
    : value;
}

export function termText(term: Term): string {
  return `${term.key}:${term.not ? '!' : ''}${quoted(term.value)}`;
}

export function queryText(terms: readonly Term[]): string {
  return terms.map(termText).join(' ');
}

/** `terms` with this one instead of those in its slot, or, with `value` empty, without them. */
export function withTerm(terms: readonly Term[], term: Term): Term[] {
  const at = terms.findIndex((other) => slot(other) === slot(term));
  if (at < 0) return [...terms, term];
  return terms.map((other, index) => (index === at ? term : other));
}

export function without(terms: readonly Term[], key: QueryKey): Term[] {
  return terms.filter((term) => term.key !== key);
}

/** The query that the URL holds: `q`, and what links of before had in parameters of their own. */
export function readQuery(params: URLSearchParams): string {
  const parts: string[] = [];
  const q = params.get('q')?.trim() ?? '';
  if (q !== '') parts.push(q);
  const add = (key: QueryKey, value: string | null | undefined) => {
    const given = value?.trim() ?? '';
    if (given !== '') parts.push(termText({ key, not: false, value: given }));
  };
  add('status', params.get('status'));
  add('name', params.get('name') ?? params.get('name_contains'));
  add('tag', params.get('tag'));
  add('user', params.get('user'));
  add('after', params.get('since'));
  const until = params.get('until')?.trim() ?? '';
  const end = dayStart(until, 1);
  // The day was meant to its end.
  add('before', end === null ? until : dayText(end));
  return parts.join(' ');
}

function dayText(day: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  return `${day.getFullYear()}-${two(day.getMonth() + 1)}-${two(day.getDate())}`;
}

/** The list's address with this query. */
export function queryLink(text: string): string {
  const trimmed = text.trim();
  return trimmed === '' ? '/executions' : `/executions?${new URLSearchParams({ q: trimmed })}`;
}

/** The conditions as the API takes them: days become moments, because only the reader knows its zone. */
export function apiFilter(terms: readonly Term[]): Record<string, string> {
  const sent: Record<string, string> = {};
  for (const { key, not, value } of terms) {
    const no = not ? 'not_' : '';
    switch (key) {
      case 'name':
        sent[`${no}name_contains`] = value;
        break;
      case 'exit':
        sent[`${no}exit_code`] = value;
        break;
      case 'duration': {
        const seconds = String((parseDuration(value.slice(1)) ?? 0) / 1000);
        sent[value.startsWith('>') ? 'longer_than' : 'shorter_than'] = seconds;
        break;
      }
      case 'after':
        sent['since'] = dayStart(value)?.toISOString() ?? value;
        break;
      case 'before':
        sent['until'] = dayStart(value)?.toISOString() ?? value;
        break;
      case 'is':
        sent[value] = '1';
        break;
      default:
        sent[`${no}${key}`] = value;
    }
  }
  return sent;
}

/** As the server compares names. */
function asciiLower(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

/** Whether an execution that has just been created belongs into the list. */
export function matches(terms: readonly Term[], execution: Execution): boolean {
  return terms.every(({ key, not, value }) => {
    switch (key) {
      case 'status':
        return (execution.status === value) !== not;
      case 'name':
        return asciiLower(execution.name).includes(asciiLower(value)) !== not;
      case 'tag':
        return execution.tags.includes(value) !== not;
      case 'user':
        return (execution.user === value) !== not;
      case 'source':
        return (execution.source === value) !== not;
      case 'exit':
        return execution.exit_code !== null && (execution.exit_code === Number(value)) !== not;
      case 'duration': {
        if (!['completed', 'failed', 'cancelled'].includes(execution.status)) return false;
        const took = (execution.duration_seconds ?? 0) * 1000;
        const limit = parseDuration(value.slice(1)) ?? 0;
        return value.startsWith('>') ? took > limit : took < limit;
      }
      case 'before': {
        const end = dayStart(value)?.getTime() ?? Date.parse(value);
        return Number.isNaN(end) ? false : Date.parse(execution.created_at) < end;
      }
      case 'after': {
        const start = dayStart(value)?.getTime() ?? Date.parse(value);
        // An age: what is new is younger.
        return Number.isNaN(start) || start <= Date.parse(execution.created_at);
      }
      case 'is':
        return execution.pinned;
      case 'order':
        return true;
    }
  });
}

/** What the list knows of values, for suggestions. */
export interface Known {
  readonly tags: readonly string[];
  readonly users: readonly string[];
}

/** What could stand where the caret is: whole tokens, and the part of the text they replace. */
export function suggest(
  text: string,
  caret: number,
  known: Known,
): { readonly from: number; readonly to: number; readonly options: readonly string[] } {
  const token = tokens(text).find(({ from, to }) => from <= caret && caret <= to);
  const from = token?.from ?? caret;
  const to = token?.to ?? caret;
  if (token === undefined || token.key === null) {
    const begun = asciiLower(token?.text ?? '');
    return { from, to, options: KEYS.filter((key) => key.startsWith(begun)).map((key) => `${key}:`) };
  }
  const key = KEYS.find((one) => one === token.key!.toLowerCase());
  const begun = asciiLower(token.value);
  const of = (values: readonly string[]) =>
    values
      .filter((value) => asciiLower(value).startsWith(begun) && value !== token.value)
      .slice(0, 8)
      .map((value) => `${key}:${token.not ? '!' : ''}${quoted(value)}`);
  switch (key) {
    case 'status':
      return { from, to, options: of(STATUSES) };
    case 'source':
      return { from, to, options: of(SOURCES) };
    case 'tag':
      return { from, to, options: of(known.tags) };
    case 'user':
      return { from, to, options: of(known.users) };
    case 'after':
    case 'before':
      return { from, to, options: of(AGES) };
    case 'duration':
      return { from, to, options: of(DURATIONS) };
    case 'is':
      return { from, to, options: of(TRAITS) };
    case 'order':
      return { from, to, options: of(ORDERS) };
    case 'exit':
      return { from, to, options: token.value === '' && !token.not ? ['exit:0', 'exit:!0'] : [] };
    default:
      return { from, to, options: [] };
  }
}
