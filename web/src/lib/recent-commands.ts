// What was started from this page lately, with all that was given: the form offers it again.

import { stored, store } from '$lib/settings.svelte';

export interface Remembered {
  readonly command: string;
  readonly args: string;
  readonly name: string;
  readonly cwd: string;
  readonly env: string;
  readonly tags: string;
  readonly timeout: string;
  readonly shell: boolean;
  readonly stopOnError: boolean;
}

const KEY = 'sf.recent';
const MAX = 20;

/** What `text` holds, as far as it can be read. */
export function parseRemembered(text: string | null): Remembered[] {
  try {
    const list: unknown = JSON.parse(text ?? '[]');
    if (!Array.isArray(list)) return [];
    return list.filter(
      (one): one is Remembered =>
        typeof one === 'object' &&
        one !== null &&
        ['command', 'args', 'name', 'cwd', 'env', 'tags', 'timeout'].every(
          (key) => typeof (one as Record<string, unknown>)[key] === 'string',
        ),
    );
  } catch {
    return [];
  }
}

/** `list` with `one` first, and what had the same command no more. */
export function remember(list: readonly Remembered[], one: Remembered): Remembered[] {
  return [one, ...list.filter(({ command }) => command !== one.command)].slice(0, MAX);
}

export function recentCommands(): Remembered[] {
  return parseRemembered(stored(KEY));
}

/** The environment is not kept: it may hold secrets, and this storage is not for them. */
export function keepCommand(one: Remembered): void {
  store(KEY, JSON.stringify(remember(recentCommands(), { ...one, env: '' })));
}
