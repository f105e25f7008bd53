// Searches that are kept: the reader's own in this browser, those for everybody on the server.
import { api } from '$lib/api/client';
import { notify } from '$lib/notify.svelte';

export interface SavedSearch {
  readonly name: string;
  readonly query: string;
  /** For everybody. */
  readonly shared: boolean;
}

const KEY = 'stepflow.searches';
const MOST = 20;

function read(): SavedSearch[] {
  try {
    const found: unknown = JSON.parse(localStorage.getItem(KEY) ?? '[]');
    if (!Array.isArray(found)) return [];
    return found
      .filter(
        (one: Partial<SavedSearch> | null): one is SavedSearch =>
          typeof one?.name === 'string' && typeof one.query === 'string',
      )
      .slice(0, MOST)
      .map(({ name, query }) => ({ name, query, shared: false }));
  } catch {
    return []; // A browser that keeps nothing, or something else's words.
  }
}

class Saved {
  #own = $state.raw<readonly SavedSearch[]>(read());
  #shared = $state.raw<readonly SavedSearch[]>([]);
  /** The reader's own, the newest first, and those for everybody. */
  readonly all = $derived([...this.#own, ...this.#shared]);

  constructor() {
    addEventListener('storage', (event) => {
      if (event.key === KEY) this.#own = read();
    });
  }

  /** Asks for those that are for everybody. */
  async load(): Promise<void> {
    try {
      const { searches } = await api.searches();
      this.#shared = searches.map(({ name, query }) => ({ name, query, shared: true }));
      notify.saved(true, searches);
    } catch {
      // The list itself says what is wrong with the server.
    }
  }

  /** One of the same name is replaced. Fails as the server does. */
  async add(search: SavedSearch): Promise<void> {
    if (search.shared) {
      await api.saveSearch(search.name, search.query);
      await this.load();
    } else {
      this.#set([search, ...this.#own.filter(({ name }) => name !== search.name)].slice(0, MOST));
    }
  }

  async remove({ name, shared }: SavedSearch): Promise<void> {
    if (shared) {
      await api.forgetSearch(name);
      await this.load();
    } else {
      this.#set(this.#own.filter((one) => one.name !== name));
    }
  }

  #set(own: readonly SavedSearch[]): void {
    this.#own = own;
    notify.saved(false, own);
    try {
      localStorage.setItem(KEY, JSON.stringify(own));
    } catch {
      // Kept as long as the page is open.
    }
  }
}

export const saved = new Saved();
