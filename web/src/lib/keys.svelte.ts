// The keys that the page knows. Whoever shows something that has keys adds them while it is shown;
// one listener runs them, and the help lists them.

import { untrack } from 'svelte';
import type { Key } from '$lib/i18n/index.svelte';
import { settings } from '$lib/settings.svelte';

export interface Binding {
  /** As the help shows it: `f`, `shift+e`, `?`, or a sequence such as `g d`. */
  readonly keys: string;
  readonly group: 'global' | 'list' | 'execution' | 'log';
  readonly text: Key;
  /** `false`: not now; the key is left to the browser. */
  run(event: KeyboardEvent): void | false;
}

/** A sequence is forgotten after this long. */
const SEQUENCE_MS = 1_500;

/** The name of the pressed key, as bindings write it; `null`: with a key that is the browser's. */
export function keyName(event: KeyboardEvent): string | null {
  if (event.ctrlKey || event.metaKey || event.altKey) return null;
  const letter = /^[a-z]$/i.test(event.key);
  return letter && event.shiftKey ? `shift+${event.key.toLowerCase()}` : event.key;
}

function typing(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  return target.isContentEditable || target.closest('input, textarea, select, dialog') !== null;
}

/** Whether something modal is open: its keys are its own. */
function covered(): boolean {
  return document.querySelector('dialog:modal') !== null;
}

class Keys {
  bindings = $state.raw<readonly Binding[]>([]);
  #before: { readonly name: string; readonly at: number } | null = null;

  constructor() {
    addEventListener('keydown', (event) => this.#press(event));
  }

  /** Adds keys; what is returned takes them away again. The last one added wins. */
  add(...added: Binding[]): () => void {
    // Whoever adds keys does not depend on the others'.
    untrack(() => (this.bindings = [...this.bindings, ...added]));
    return () => {
      untrack(() => (this.bindings = this.bindings.filter((one) => !added.includes(one))));
    };
  }

  #press(event: KeyboardEvent): void {
    const name = keyName(event);
    // While a text is composed, keys belong to the input method.
    if (event.defaultPrevented || event.isComposing || name === null) return;
    if (typing(event.target) || covered()) return;
    if (!settings.singleKeys && name.replace('shift+', '').length === 1) return;
    const before = this.#before;
    this.#before = null;
    // A key that is held down does not begin or end a sequence.
    const sequence =
      before !== null && !event.repeat && event.timeStamp - before.at < SEQUENCE_MS
        ? `${before.name} ${name}`
        : name;
    for (const wanted of new Set([sequence, name])) {
      for (let at = this.bindings.length - 1; at >= 0; at--) {
        const binding = this.bindings[at]!;
        if (binding.keys !== wanted) continue;
        if (binding.run(event) === false) continue;
        event.preventDefault();
        return;
      }
    }
    if (this.bindings.some((one) => one.keys.startsWith(`${name} `))) {
      this.#before = { name, at: event.timeStamp };
    }
  }
}

export const keys = new Keys();
