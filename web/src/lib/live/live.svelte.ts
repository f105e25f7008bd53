// The page's one connection, as state.

import { api } from '$lib/api/client';
import { LiveSocket, type Connection, type Wire } from './socket';

class Live {
  connection = $state.raw<Connection>({ kind: 'idle' });
  version = $state<string | null>(null);
  readonly socket = new LiveSocket(
    {
      open: () => {
        const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
        return new WebSocket(`${scheme}//${location.host}/ws`) as unknown as Wire;
      },
      online: () => navigator.onLine,
      now: () => Date.now(),
      random: () => Math.random(),
      setTimer: (run, ms) => setTimeout(run, ms),
      clearTimer: (timer) => clearTimeout(timer as number),
      // A browser does not say why an upgrade was refused; this request answers 401 if it was that.
      refused: () => void api.session().catch(() => {}),
    },
    (connection) => {
      this.connection = connection;
      this.version = this.socket.version;
    },
  );

  constructor() {
    const changed = () => this.socket.networkChanged();
    addEventListener('online', changed);
    addEventListener('offline', changed);
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) this.socket.retryNow();
    });
  }
}

export const live = new Live();
