// What the command palette offers besides pages and executions. Whoever shows something that can be
// gone to or done adds it while it is shown: the steps of an execution, stop, run again.

import { stored, store } from '$lib/settings.svelte';

export type PaletteGroup = 'step' | 'action' | 'page' | 'execution' | 'setting';

export interface PaletteItem {
  /** The same every time: what was used lately is known by it. */
  readonly id: string;
  readonly group: PaletteGroup;
  /** Shown; already in the reader's language, or a name from a script after `visible()`. */
  readonly text: string;
  /** Found by this as well: an id, another word. */
  readonly also?: string;
  /** Shown small behind the text. */
  readonly note?: string;
  /** The keys that do the same. */
  readonly keys?: string;
  run(): void;
}

const RECENT_MAX = 30;
const RECENT_KEY = 'sf.palette';

class Palette {
  #open = $state(false);
  /** What was written between opening and the palette's being there. */
  typed = '';
  #sources = $state.raw<readonly (() => readonly PaletteItem[])[]>([]);

  /**
   * Offers what `source` lists each time the palette is open. Call it in an `$effect`; what is
   * returned takes it away again.
   */
  add(source: () => readonly PaletteItem[]): () => void {
    this.#sources = [...this.#sources, source];
    return () => {
      this.#sources = this.#sources.filter((one) => one !== source);
    };
  }

  items(): PaletteItem[] {
    // What was added last is nearest to the reader: the open execution comes before the pages.
    return this.#sources.toReversed().flatMap((source) => [...source()]);
  }

  get open(): boolean {
    return this.#open;
  }
  set open(value: boolean) {
    if (value && !this.#open) this.typed = '';
    this.#open = value;
  }

  /** The ids of what was used, the latest first. */
  recent(): string[] {
    return (stored(RECENT_KEY) ?? '').split('\n').filter((id) => id !== '');
  }

  used(id: string): void {
    const before = this.recent().filter((one) => one !== id);
    store(RECENT_KEY, [id.replaceAll('\n', ' '), ...before].slice(0, RECENT_MAX).join('\n'));
  }
}

export const palette = new Palette();
