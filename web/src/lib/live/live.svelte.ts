// The page's one connection, as state.

import { api } from '$lib/api/client';
import { at } from '$lib/base';
import { Fallback, type Stream } from './fallback';
import { LiveSocket, type Connection, type Wire } from './socket';

/** The name of the script that a page was built with; `null`: none is named. */
export function buildOf(html: string): string | null {
  return /assets\/(index-[\w-]+)\.js/.exec(html)?.[1] ?? null;
}

class Live {
  connection = $state.raw<Connection>({ kind: 'idle' });
  version = $state<string | null>(null);
  /** Whether the server has another page by now than this one. */
  updated = $state(false);
  readonly socket: LiveSocket = new LiveSocket(
    {
      open: () => {
        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        return new WebSocket(`${scheme}//${location.host}${at('/ws')}`) as unknown as Wire;
      },
      online: () => navigator.onLine,
      now: () => Date.now(),
      random: () => Math.random(),
      setTimer: (run, ms) => setTimeout(run, ms),
      clearTimer: (timer) => clearTimeout(timer as number),
      // A browser does not say why an upgrade was refused; this request answers 401 if it was that.
      refused: () => void api.session().catch(() => {}),
      hidden: () => document.hidden,
      substitute: (heard, failed) =>
        new Fallback(
          {
            detail: (id) => api.execution(id),
            list: () => api.executions({ limit: 50 }),
            statistics: () => api.statistics(),
            stream: (id, cursor) => {
              const query = cursor === null ? '' : `?cursor=${encodeURIComponent(cursor)}`;
              const path = at(`/api/executions/${encodeURIComponent(id)}/events${query}`);
              return new EventSource(path) as unknown as Stream;
            },
            hidden: () => document.hidden,
            setTimer: (run, ms) => setTimeout(run, ms),
            clearTimer: (timer) => clearTimeout(timer as number),
          },
          heard,
          failed,
        ),
    },
    (connection) => {
      this.connection = connection;
      this.version = this.socket.version;
    },
  );
  #firstVersion: string | null = null;
  readonly #build = buildOf(
    document.querySelector<HTMLScriptElement>('script[type="module"]')?.src ?? '',
  );

  constructor() {
    const changed = () => this.socket.networkChanged();
    addEventListener('online', changed);
    addEventListener('offline', changed);
    document.addEventListener('visibilitychange', () => this.socket.shown());
    this.socket.onhello = (version) => {
      if (this.#firstVersion === null) this.#firstVersion = version;
      else void this.#compare(version);
    };
  }

  /** After a break: the server that came back may have another page. It is offered, never forced. */
  async #compare(version: string): Promise<void> {
    if (version !== this.#firstVersion) this.updated = true;
    if (this.#build === null) return;
    try {
      const response = await fetch(at('/'), { cache: 'no-store', credentials: 'same-origin' });
      const build = response.ok ? buildOf(await response.text()) : null;
      if (build !== null && build !== this.#build) this.updated = true;
    } catch {
      // Gone again: the next greeting asks.
    }
  }
}

export const live = new Live();
