import { createSubscriber } from 'svelte/reactivity';
import { serverNow } from '$lib/api/client';

/** The server's time, told again every second to whoever reads it; not while the tab is hidden. */
class Clock {
  readonly #subscribe = createSubscriber((update) => {
    const timer = setInterval(() => {
      if (!document.hidden) update();
    }, 1000);
    const shown = () => {
      if (!document.hidden) update();
    };
    document.addEventListener('visibilitychange', shown);
    return () => {
      clearInterval(timer);
      document.removeEventListener('visibilitychange', shown);
    };
  });

  get now(): number {
    this.#subscribe();
    return serverNow();
  }
}

export const clock = new Clock();
