import { api } from '$lib/api/client';
import type { Execution, Strip } from '$lib/api/types';
import { isEnd } from './fold';

const BATCH = 100;

/** How the names of shown executions went lately: asked once for all rows that are new. */
export class Strips {
  of = $state.raw<ReadonlyMap<string, Strip>>(new Map());
  readonly #asked = new Map<string, boolean>();
  readonly #abort = new AbortController();
  #waiting = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | null = null;

  /** Asks for what is not known of these; for what has ended since, again. */
  want(executions: readonly Execution[]): void {
    for (const execution of executions) {
      const ended = isEnd(execution);
      if (this.#asked.get(execution.id) === ended) continue;
      this.#asked.set(execution.id, ended);
      this.#waiting.add(execution.id);
    }
    if (this.#waiting.size > 0) this.#timer ??= setTimeout(() => void this.#ask(), 30);
  }

  stop(): void {
    this.#abort.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #ask(): Promise<void> {
    const ids = [...this.#waiting].slice(0, BATCH);
    for (const id of ids) this.#waiting.delete(id);
    try {
      const { strips } = await api.strips(ids, this.#abort.signal);
      const of = new Map(this.of);
      for (const strip of strips) for (const id of strip.ids) of.set(id, strip);
      this.of = of;
    } catch {
      // Rows stand without it; the list itself says what is wrong with the server.
    }
    this.#timer = this.#waiting.size > 0 ? setTimeout(() => void this.#ask(), 30) : null;
  }
}
