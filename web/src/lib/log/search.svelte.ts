// A search over the whole log, on the server: hits come in order, the total grows until it is exact.

import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { LogSearch as Answer, SearchHit } from '$lib/api/types';
import type { Mark } from './draw';
import type { Marks } from './pane';
import { NO_MARKS } from './row';

/** So many hits are kept; counting goes on. */
export const HITS_MAX = 20_000;
const PAGE = 2_000;
/** Typing rests this long before the server is asked. */
const TYPED_MS = 150;

export interface Query {
  readonly text: string;
  readonly regex: boolean;
  readonly caseSensitive: boolean;
}

export class LogSearch {
  query = $state.raw<Query>({ text: '', regex: false, caseSensitive: false });
  /** Lines with hits, so far. */
  total = $state(0);
  complete = $state(true);
  problem = $state.raw<Problem | null>(null);
  /** The hit that the reader is at, among those kept; -1: none. */
  current = $state(-1);
  /** Going on has begun again at the other end. */
  wrapped = $state(false);
  /** Hits in each step. */
  steps = $state.raw<ReadonlyMap<number | null, number>>(new Map());
  hits = $state.raw<readonly SearchHit[]>([]);
  marks = $state.raw<Marks | null>(null);
  readonly #id: string;
  #abort: AbortController | null = null;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #cursor: string | null = null;
  #searched = 0;
  readonly #goto: (line: number) => void;

  constructor(id: string, goto: (line: number) => void) {
    this.#id = id;
    this.#goto = goto;
  }

  get active(): boolean {
    return this.query.text !== '';
  }

  /** Another query; `near`: the line that the reader is at; null: the view stays where it is. */
  set(query: Query, near: number | null): void {
    if (JSON.stringify(query) === JSON.stringify(this.query)) return;
    this.query = query;
    this.stop();
    this.#clear();
    if (query.text === '') return;
    this.complete = false;
    this.#timer = setTimeout(() => void this.#run(near), TYPED_MS);
  }

  /** The log has grown: what is new is searched too. */
  grow(lines: number): void {
    if (!this.active || !this.complete || this.problem !== null || lines < this.#searched) return;
    if (this.#timer !== undefined || this.#abort !== null) return;
    this.#timer = setTimeout(() => void this.#run(null), 500);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#abort?.abort();
    this.#abort = null;
  }

  /** To the next hit, or the one before; round the ends, with a word about it. */
  step(by: 1 | -1, near: number): void {
    const { hits } = this;
    if (hits.length === 0) return;
    let to: number;
    if (this.current < 0) {
      to = hits.findIndex((hit) => hit.line >= near);
      if (by < 0) to = to < 0 ? hits.length - 1 : to - 1;
    } else to = this.current + by;
    this.wrapped = to < 0 || to >= hits.length;
    this.#show((to + hits.length) % hits.length);
  }

  #show(to: number): void {
    this.current = to;
    this.#remark();
    const hit = this.hits[to];
    if (hit !== undefined) this.#goto(hit.line);
  }

  #clear(): void {
    this.total = 0;
    this.complete = true;
    this.problem = null;
    this.current = -1;
    this.wrapped = false;
    this.steps = new Map();
    this.hits = [];
    this.#cursor = null;
    this.#searched = 0;
    this.marks = null;
  }

  async #run(near: number | null): Promise<void> {
    this.#timer = undefined;
    const abort = (this.#abort = new AbortController());
    let placed = near === null || this.current >= 0;
    try {
      for (;;) {
        const answer = await api.logSearch(
          this.#id,
          {
            q: this.query.text,
            regex: this.query.regex ? 1 : null,
            case: this.query.caseSensitive ? 1 : null,
            cursor: this.#cursor,
            limit: this.hits.length < HITS_MAX ? PAGE : 1,
          },
          abort.signal,
        );
        this.#take(answer);
        if (!placed && near !== null) {
          const at = this.hits.findIndex((hit) => hit.line >= near);
          // The first hit behind the reader; else, when all is known, the first one of all.
          if (at >= 0 || (answer.complete && this.hits.length > 0)) {
            placed = true;
            this.#show(Math.max(0, at));
          }
        }
        if (answer.complete) break;
      }
      this.complete = true;
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = asProblem(error);
      this.complete = true;
    } finally {
      if (this.#abort === abort) this.#abort = null;
    }
  }

  #take(answer: Answer): void {
    this.#cursor = answer.cursor;
    this.#searched = answer.total_lines;
    this.total += answer.lines;
    if (answer.hits.length > 0 && this.hits.length < HITS_MAX) {
      this.hits = [...this.hits, ...answer.hits].slice(0, HITS_MAX);
    }
    const steps = new Map(this.steps);
    for (const { step, lines } of answer.steps) steps.set(step, (steps.get(step) ?? 0) + lines);
    this.steps = steps;
    this.#remark();
  }

  #remark(): void {
    const { hits } = this;
    const current = hits[this.current]?.line ?? 0;
    const made = new Map<number, readonly Mark[]>();
    this.marks = {
      of: (n) => {
        let marks = made.get(n);
        if (marks === undefined) {
          const hit = find(hits, n);
          marks = hit?.spans.map(([from, to]) => ({ from, to, current: n === current })) ?? NO_MARKS;
          made.set(n, marks);
        }
        return marks;
      },
    };
  }
}

function find(hits: readonly SearchHit[], line: number): SearchHit | undefined {
  let low = 0;
  let high = hits.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (hits[middle]!.line < line) low = middle + 1;
    else high = middle;
  }
  return hits[low]?.line === line ? hits[low] : undefined;
}
