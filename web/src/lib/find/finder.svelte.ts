// A search over many logs: asked for answer after answer, until there is enough to look at.

import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { SearchEvent, SearchFound, SearchProgress } from '$lib/api/types';
import { asked, type Terms } from './terms';

/** Hits of one execution; the rest is in its own log's search. */
const EACH = 20;
/** With so many hits it waits until more are wanted. */
const ENOUGH = 300;

type State = 'idle' | 'running' | 'paused' | 'done' | 'stopped';

const NOTHING: SearchProgress = { total: 0, done: 0, scanned_bytes: 0, skipped_bytes: 0, hits: 0 };

export class Finder {
  state = $state<State>('idle');
  found = $state.raw<readonly SearchFound[]>([]);
  unreadable = $state.raw<readonly { readonly id: string; readonly why: string }[]>([]);
  problem = $state.raw<Problem | null>(null);
  #before = $state.raw<SearchProgress>(NOTHING);
  #now = $state.raw<SearchProgress>(NOTHING);
  progress: SearchProgress = $derived({
    total: Math.max(this.#now.total, this.#before.done + this.#now.done),
    done: this.#before.done + this.#now.done,
    scanned_bytes: this.#before.scanned_bytes + this.#now.scanned_bytes,
    skipped_bytes: this.#before.skipped_bytes + this.#now.skipped_bytes,
    hits: this.#before.hits + this.#now.hits,
  });
  #terms: Terms | null = null;
  #cursor: string | null = null;
  #wanted = ENOUGH;
  #abort = new AbortController();

  /** Forgets what was found, and searches; without a text it only forgets. */
  start(terms: Terms): void {
    this.#abort.abort();
    this.#terms = terms;
    this.#cursor = null;
    this.#wanted = ENOUGH;
    this.#before = NOTHING;
    this.#now = NOTHING;
    this.found = [];
    this.unreadable = [];
    this.problem = null;
    this.state = 'idle';
    if (terms.text !== '') void this.#run();
  }

  /** Goes on where it stopped. */
  goOn(): void {
    if (this.state !== 'paused' && this.state !== 'stopped') return;
    this.#wanted = this.progress.hits + ENOUGH;
    void this.#run();
  }

  stop(): void {
    this.#abort.abort();
    if (this.state === 'running') this.state = 'stopped';
  }

  async #run(): Promise<void> {
    const terms = this.#terms;
    if (terms === null) return;
    const abort = new AbortController();
    this.#abort = abort;
    this.state = 'running';
    this.problem = null;
    try {
      do {
        // What a broken answer had found is asked for again with it.
        const kept = this.found;
        let whole = false;
        try {
          whole = await this.#answer(terms, abort.signal);
        } finally {
          if (!whole && !abort.signal.aborted) {
            this.found = kept;
            this.#now = { ...NOTHING, total: this.#now.total };
          }
        }
      } while (this.#cursor !== null && this.progress.hits < this.#wanted);
      this.state = this.#cursor === null ? 'done' : 'paused';
    } catch (error) {
      if (isAbort(error) || abort.signal.aborted) return;
      this.problem = asProblem(error);
      this.state = 'stopped';
    }
  }

  /** One answer; whether it came whole. */
  async #answer(terms: Terms, signal: AbortSignal): Promise<boolean> {
    const left = Math.max(1, this.#wanted - this.progress.hits);
    const events = api.search({ ...asked(terms), each: EACH, limit: left, cursor: this.#cursor }, signal);
    for await (const event of events) {
      if (signal.aborted) return false;
      if (this.#take(event)) return true;
    }
    throw new Error('the answer broke off');
  }

  /** Whether it was the last. */
  #take(event: SearchEvent): boolean {
    switch (event.kind) {
      case 'found': {
        const last = this.found.at(-1);
        if (last?.execution.id === event.execution.id) {
          // An answer ended within its log.
          const lines = [...last.lines, ...event.lines];
          this.found = [...this.found.slice(0, -1), { ...event, lines }];
        } else {
          this.found = [...this.found, event];
        }
        return false;
      }
      case 'progress':
        this.#now = event;
        return false;
      case 'unreadable':
        this.unreadable = [...this.unreadable, { id: event.execution_id, why: event.why }];
        return false;
      case 'end':
        this.#now = event.progress;
        this.#before = this.progress;
        this.#now = { ...NOTHING, total: event.progress.total };
        this.#cursor = event.cursor;
        return true;
    }
  }
}
