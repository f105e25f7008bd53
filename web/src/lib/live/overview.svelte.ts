import { plainText } from '$lib/exec/digest';
import { api, asProblem, isAbort, type Problem } from '$lib/api/client';
import type { Execution, Overview } from '$lib/api/types';
import { isEnd } from './fold';

export const RANGES = ['24h', '7d', '30d'] as const;
export type Range = (typeof RANGES)[number];

export function readRange(params: URLSearchParams): Range {
  return RANGES.find((range) => range === params.get('range')) ?? '7d';
}

const REFRESH_MS = 900;

/** The headline of a range: asked again, not more than about once a second, when something changed. */
export class LiveOverview {
  readonly range: Range;
  value = $state.raw<Overview | null>(null);
  problem = $state.raw<Problem | null>(null);
  readonly #abort = new AbortController();
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(range: Range) {
    this.range = range;
  }

  async load(): Promise<void> {
    try {
      this.value = await api.overview(this.range, this.#abort.signal);
      this.problem = null;
    } catch (error) {
      if (isAbort(error)) return;
      this.problem = asProblem(error);
    }
  }

  changed(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.load();
    }, REFRESH_MS);
  }

  stop(): void {
    this.#abort.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }
}

/** What is known of a failure besides the execution itself. */
export interface Finding {
  readonly step: string | null;
  readonly line: number | null;
  readonly text: string | null;
}

/** Failing step and first error line of failed executions, asked once for each that is shown. */
export class Findings {
  of = $state.raw<ReadonlyMap<string, Finding>>(new Map());
  readonly #asked = new Set<string>();
  readonly #abort = new AbortController();

  want(executions: readonly Execution[]): void {
    for (const execution of executions) {
      if (!isEnd(execution) || this.#asked.has(execution.id)) continue;
      this.#asked.add(execution.id);
      void this.#ask(execution.id);
    }
  }

  stop(): void {
    this.#abort.abort();
  }

  async #ask(id: string): Promise<void> {
    const { signal } = this.#abort;
    try {
      const [detail, meta] = await Promise.all([api.execution(id, signal), api.logMeta(id, signal)]);
      const failed = detail.steps.filter((step) => step.status === 'failed');
      const step = failed.at(-1)?.name ?? null;
      const line = meta.first_error?.line ?? null;
      let text: string | null = null;
      if (line !== null) {
        const range = await api.log(id, line, 1, signal);
        const [first] = range.lines;
        text = first === undefined ? null : plainText(first.view?.shown ?? first.text);
      }
      this.of = new Map(this.of).set(id, { step, line, text });
    } catch {
      // The row still says why, and opens.
    }
  }
}
