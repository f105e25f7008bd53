// What the server knows of a log: counts of levels, which step owns which lines, errors, gaps.

import { api, isAbort } from '$lib/api/client';
import type { LogMeta } from '$lib/api/types';

/** While the script runs, asked for at most this often. */
const EVERY_MS = 1_000;
const RETRY_MS = 5_000;

export class MetaStore {
  meta = $state.raw<LogMeta | null>(null);
  readonly #id: string;
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #busy = false;
  #last = -Infinity;
  #wanted = -1;

  constructor(id: string) {
    this.#id = id;
  }

  /** The log has come this far. */
  grow(bytes: number, ended: boolean): void {
    this.#wanted = Math.max(this.#wanted, bytes);
    const { meta } = this;
    if (meta !== null && meta.complete && meta.bytes >= this.#wanted && (meta.ended || !ended)) return;
    this.#soon(EVERY_MS);
  }

  stop(): void {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  #soon(wait: number): void {
    if (this.#timer !== undefined || this.#busy || this.#abort.signal.aborted) return;
    const delay = Math.max(0, this.#last + wait - performance.now());
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      void this.#load();
    }, delay);
  }

  async #load(): Promise<void> {
    this.#busy = true;
    this.#last = performance.now();
    let wait = EVERY_MS;
    try {
      this.meta = await api.logMeta(this.#id, this.#abort.signal);
    } catch (error) {
      if (isAbort(error)) return;
      wait = RETRY_MS;
    } finally {
      this.#busy = false;
    }
    const { meta } = this;
    if (meta === null || !meta.complete || meta.bytes < this.#wanted) this.#soon(wait);
  }
}
