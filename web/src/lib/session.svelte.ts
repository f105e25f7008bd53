// Who one is, as far as the page has to know: what one may not do is not offered.

import { api } from '$lib/api/client';
import type { Session } from '$lib/api/types';

class Who {
  #session = $state.raw<Session | null>(null);
  #operator = $state(false);

  /** How one is known to the server; `null`: not yet. */
  kind = $derived(this.#session?.kind ?? null);
  /** Whether one may start, stop and change things. */
  operator = $derived(this.#operator);

  async load(): Promise<void> {
    try {
      const session = await api.session();
      // A token may be one that only looks; a route for operators tells.
      const operator = session.kind !== 'token' || (await api.tokens().then(() => true, () => false));
      this.#session = session;
      this.#operator = operator;
    } catch {
      // The login page, or the next connection, asks again.
    }
  }

  forget(): void {
    this.#session = null;
    this.#operator = false;
  }
}

export const who = new Who();
