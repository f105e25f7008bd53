import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { Execution } from '$lib/api/types';
import { emptyView, foldDetail, foldExecution, isEnd, stepTree, type ExecutionView } from './fold';
import { live } from './live.svelte';

/** State behind the page of one execution. */
export class LiveExecution {
  readonly id: string;
  #view = $state.raw<ExecutionView>(emptyView);
  problem = $state.raw<Problem | null>(null);
  execution = $derived<Execution | null>(this.#view.execution);
  steps = $derived(this.#view.steps);
  artifacts = $derived(this.#view.artifacts);
  annotations = $derived(this.#view.annotations);
  extent = $derived(this.#view.extent);
  tree = $derived(stepTree(this.steps));
  readonly #abort = new AbortController();
  #unsubscribe: (() => void) | null = null;

  constructor(id: string) {
    this.id = id;
  }

  start(): void {
    // Asked over HTTP as well: the first answer comes without waiting for the socket, and an
    // execution that is unknown is said so.
    void this.load();
    this.#unsubscribe = live.socket.subscribe(
      { topic: 'execution', id: this.id, cursor: () => this.#view.cursor },
      (message) => {
        if (message.op === 'error') void this.load();
        else this.#take(foldExecution(this.#view, message));
      },
    );
  }

  async load(): Promise<void> {
    this.problem = null;
    try {
      const detail = await api.execution(this.id, this.#abort.signal);
      // The socket may have told newer things already; an end is never taken back.
      const known = this.#view.execution;
      if (known !== null && (isEnd(known) || known.lines > detail.execution.lines)) return;
      this.#take(foldDetail(this.#view, detail));
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = asProblem(error);
    }
  }

  /** It was changed from here. */
  changed(execution: Execution): void {
    this.#take({ ...this.#view, execution });
  }

  stop(): void {
    this.#abort.abort();
    this.#unsubscribe?.();
  }

  #take(view: ExecutionView): void {
    if (this.#view.execution === null && view.execution !== null) performance.mark('sf:first-data');
    this.#view = view;
  }
}
