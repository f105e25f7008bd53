import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { Execution, Statistics } from '$lib/api/types';
import { foldExecutions, isEnd } from './fold';
import { live } from './live.svelte';

export const RECENT_MAX = 20;

/** State behind the dashboard. */
export class LiveExecutions {
  #all = $state.raw<readonly Execution[]>([]);
  statistics = $state.raw<Statistics | null>(null);
  loaded = $state(false);
  problem = $state.raw<Problem | null>(null);
  running = $derived(this.#all.filter((execution) => !isEnd(execution)));
  /** All that have ended and are known; `recent` is the newest of them. */
  ended = $derived(this.#all.filter(isEnd));
  recent = $derived(this.ended.slice(0, RECENT_MAX));
  readonly #abort = new AbortController();
  #unsubscribe: (() => void) | null = null;
  #wasLive = false;

  start(): void {
    void this.load();
    this.#unsubscribe = live.socket.subscribe({ topic: 'executions' }, (message) => {
      if (message.op === 'execution') this.#all = this.#bound([message.execution]);
      else if (message.op === 'statistics') this.statistics = message.statistics;
    });
  }

  /** To be called when the connection changes: what ended meanwhile is told by nobody. */
  connectionChanged(isLive: boolean): void {
    if (isLive && !this.#wasLive && this.loaded) void this.load();
    this.#wasLive = isLive;
  }

  async load(): Promise<void> {
    try {
      const [page, statistics] = await Promise.all([
        api.executions({ limit: 50 }, this.#abort.signal),
        api.statistics(this.#abort.signal),
      ]);
      this.problem = null;
      this.#all = this.#bound(page.executions);
      this.statistics = statistics;
      if (!this.loaded) performance.mark('sf:first-data');
      this.loaded = true;
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = asProblem(error);
    }
  }

  stop(): void {
    this.#abort.abort();
    this.#unsubscribe?.();
  }

  /** All that run, and a bounded number of those that have ended. */
  #bound(changed: readonly Execution[]): readonly Execution[] {
    const merged = foldExecutions(this.#all, changed);
    let ended = 0;
    const kept = merged.filter((execution) => !isEnd(execution) || ended++ < RECENT_MAX * 2);
    return kept.length === merged.length ? merged : kept;
  }
}
