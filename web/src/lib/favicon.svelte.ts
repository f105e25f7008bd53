// The tab's picture and the count before its title: how the open execution is, and how many ends
// have been told of and not been looked at.

import type { Look } from '$lib/format/status';

const PICTURES = import.meta.glob<string>('../favicons/*.svg', {
  query: '?url',
  import: 'default',
  eager: true,
});

export type Picture = 'plain' | 'pending' | 'running' | 'completed' | 'failed' | 'other';

/** The picture for a state: few, since they are small. */
export function pictureOf(look: Look | null): Picture {
  switch (look) {
    case null:
      return 'plain';
    case 'pending':
    case 'paused':
      return 'pending';
    case 'running':
    case 'cancelling':
      return 'running';
    case 'completed':
      return 'completed';
    case 'failed':
    case 'timed_out':
    case 'not_started':
    case 'lost':
      return 'failed';
    default:
      return 'other';
  }
}

/** `title` with the count before it, whatever count it had. */
export function counted(title: string, count: number): string {
  const bare = title.replace(/^\(\d+\) /, '');
  return count > 0 ? `(${count}) ${bare}` : bare;
}

class Favicon {
  #look = $state.raw<Look | null>(null);
  /** How many messages wait to be seen. */
  count = $state(0);

  /** Shows how the open execution is; call it in an `$effect`, what is returned ends it. */
  show(look: Look): () => void {
    this.#look = look;
    return () => {
      this.#look = null;
    };
  }

  /** Keeps the tab as it should be; to be called in an `$effect` of the page's frame. */
  apply(): void {
    const name = `../favicons/${pictureOf(this.#look)}${this.count > 0 ? '-badge' : ''}.svg`;
    const href = PICTURES[name];
    const link = document.querySelector<HTMLLinkElement>('link[rel="icon"]');
    if (link !== null && href !== undefined && link.getAttribute('href') !== href) link.href = href;
    this.mend();
  }

  /** Pages name themselves: the count is put before whatever they say. */
  mend(): void {
    const title = counted(document.title, this.count);
    if (document.title !== title) document.title = title;
  }
}

export const favicon = new Favicon();
