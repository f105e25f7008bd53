import { api, isAbort, Problem } from '$lib/api/client';
import type { Execution } from '$lib/api/types';
import { foldExecutions } from './fold';
import { live } from './live.svelte';

export const PAGE = 50;

export interface HistoryFilter {
  readonly status: string;
  readonly name: string;
}

/** State behind the list of executions. Rows change in place; new ones wait until asked for. */
export class History {
  readonly filter: HistoryFilter;
  rows = $state.raw<readonly Execution[]>([]);
  fresh = $state.raw<ReadonlySet<string>>(new Set());
  loaded = $state(false);
  busy = $state(false);
  problem = $state.raw<Problem | null>(null);
  before = $state<string | null>(null);
  readonly #abort = new AbortController();
  #unsubscribe: (() => void) | null = null;

  constructor(filter: HistoryFilter) {
    this.filter = filter;
  }

  start(): void {
    void this.reload();
    this.#unsubscribe = live.socket.subscribe({ topic: 'executions' }, (message) => {
      if (message.op !== 'execution' || !this.loaded) return;
      const { execution } = message;
      const newest = this.rows[0]?.id ?? '';
      if (this.rows.some((row) => row.id === execution.id)) {
        this.rows = foldExecutions(this.rows, [execution]);
      } else if (execution.id > newest && this.#matches(execution)) {
        if (!this.fresh.has(execution.id)) this.fresh = new Set([...this.fresh, execution.id]);
      }
    });
  }

  async reload(): Promise<void> {
    await this.#page(null);
  }

  async older(): Promise<void> {
    if (this.before !== null) await this.#page(this.before);
  }

  stop(): void {
    this.#abort.abort();
    this.#unsubscribe?.();
  }

  async #page(before: string | null): Promise<void> {
    if (this.busy) return;
    this.busy = true;
    this.problem = null;
    try {
      const page = await api.executions(
        { limit: PAGE, before, ...this.filter },
        this.#abort.signal,
      );
      if (before === null) {
        this.rows = page.executions;
        this.fresh = new Set();
        if (!this.loaded) performance.mark('sf:first-data');
      } else {
        this.rows = foldExecutions(this.rows, page.executions);
      }
      this.before = page.has_more ? page.next_before : null;
      this.loaded = true;
    } catch (error) {
      if (!isAbort(error)) {
        this.problem = error instanceof Problem ? error : new Problem({ status: 0 });
      }
    } finally {
      this.busy = false;
    }
  }

  #matches(execution: Execution): boolean {
    const { status, name } = this.filter;
    if (status !== '' && execution.status !== status) return false;
    return execution.name.toLowerCase().includes(name.toLowerCase());
  }
}
