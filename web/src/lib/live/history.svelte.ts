import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { Execution } from '$lib/api/types';
import { apiFilter, matches, orderOf, type ListOrder, type Term } from '$lib/history/query';
import { foldExecutions, newestFirst } from './fold';
import { live } from './live.svelte';

export const PAGE = 50;
/** Whoever asks for older ones wants more of them. */
const OLDER = 200;
/** Most that "all matching" takes. */
export const ALL_MAX = 10_000;

/** State behind the list of executions. Rows change in place; new ones wait until asked for. */
export class History {
  readonly terms: readonly Term[];
  readonly order: ListOrder;
  rows = $state.raw<readonly Execution[]>([]);
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  total = $state(0);
  loaded = $state(false);
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);
  before = $state<string | null>(null);
  #gone = new Set<string>();
  readonly #abort = new AbortController();
  #unsubscribe: (() => void) | null = null;
  #wasLive = false;

  constructor(terms: readonly Term[]) {
    this.terms = terms;
    this.order = orderOf(terms);
  }

  start(): void {
    void this.reload();
    this.#unsubscribe = live.socket.subscribe({ topic: 'executions' }, (message) => {
      if (message.op === 'execution' && this.loaded) this.#take(message.execution);
    });
  }

  /** To be called when the connection changes: what happened meanwhile is told by nobody. */
  async connectionChanged(isLive: boolean): Promise<void> {
    const back = isLive && !this.#wasLive && this.loaded;
    this.#wasLive = isLive;
    if (!back) return;
    try {
      const page = await api.executions({ limit: PAGE, ...apiFilter(this.terms) }, this.#abort.signal);
      for (const execution of page.executions) this.#take(execution);
    } catch {
      // The status bar says how the connection is.
    }
  }

  async reload(): Promise<void> {
    await this.#page(null);
  }

  async older(): Promise<void> {
    if (this.before !== null) await this.#page(this.before);
  }

  /** All that match, as far as they can be taken: the rows that are not loaded, too. */
  async everything(): Promise<readonly Execution[]> {
    const all: Execution[] = [];
    let before: string | null = null;
    do {
      const page = await api.executions(
        { limit: 1000, before, ...apiFilter(this.terms) },
        this.#abort.signal,
      );
      all.push(...page.executions);
      before = page.has_more ? page.next_before : null;
    } while (before !== null && all.length < ALL_MAX);
    return all.slice(0, ALL_MAX);
  }

  /** These were changed from here. */
  changed(executions: readonly Execution[]): void {
    for (const execution of executions) this.#take(execution);
  }

  /** These were deleted from here. */
  removed(ids: ReadonlySet<string>): void {
    for (const id of ids) this.#gone.add(id);
    const kept = this.rows.filter(({ id }) => !ids.has(id));
    this.total = Math.max(0, this.total - (this.rows.length - kept.length));
    this.rows = kept;
  }

  stop(): void {
    this.#abort.abort();
    this.#unsubscribe?.();
  }

  #take(execution: Execution): void {
    const newest = this.rows[0];
    if (this.#gone.has(execution.id)) return;
    if (this.rows.some((row) => row.id === execution.id)) {
      // Where it stands stays: a list that is read does not move.
      this.rows = this.rows.map((row) => (row.id === execution.id ? execution : row));
    } else if (
      this.order === 'newest' &&
      (newest === undefined || newestFirst(execution, newest) < 0) &&
      matches(this.terms, execution)
    ) {
      if (!this.fresh.has(execution.id)) this.fresh = new Set([...this.fresh, execution.id]);
    }
  }

  async #page(before: string | null): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.problem = null;
    try {
      const page = await api.executions(
        { limit: before === null ? PAGE : OLDER, before, ...apiFilter(this.terms) },
        this.#abort.signal,
      );
      if (before === null) {
        this.rows = page.executions;
        this.fresh = new Set();
        if (!this.loaded) performance.mark('sf:first-data');
      } else {
        this.rows =
          this.order === 'newest'
            ? foldExecutions(this.rows, page.executions)
            : [...this.rows, ...page.executions.filter(({ id }) => !this.rows.some((row) => row.id === id))];
      }
      this.total = page.total_count;
      this.before = page.has_more ? page.next_before : null;
      this.loaded = true;
    } catch (error) {
      if (!isAbort(error)) {
        this.problem = asProblem(error);
      }
    } finally {
      this.busy = false;
    }
  }
}
