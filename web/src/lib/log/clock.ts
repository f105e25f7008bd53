// What the time column shows, by the reader's choice.

import type { Line, Step } from '$lib/api/types';
import { clockTime, sinceStart } from '$lib/format/log-time';
import type { TimeMode } from '$lib/settings.svelte';

/** `started`: ms since 1970, where it is known. `before`: the line before one, where it is here. */
export function clock(
  mode: TimeMode,
  started: number | null,
  steps: readonly Step[],
  before: (n: number) => Line | undefined,
  /** The server's zone, minutes east of UTC. */
  serverOffsetMin = 0,
): ((line: Line) => string) | null {
  switch (mode) {
    case 'off':
      return null;
    case 'absolute':
      return (line) => clockTime(Date.parse(line.t));
    case 'utc':
      return (line) => line.t.slice(11, 23);
    case 'server':
      return (line) => new Date(Date.parse(line.t) + serverOffsetMin * 60_000).toISOString().slice(11, 23);
    case 'relative':
      return (line) => sinceStart(Date.parse(line.t), started ?? Date.parse(line.t));
    case 'step':
      return (line) => {
        const begun = line.step === null ? null : (steps[line.step]?.started_at ?? null);
        const from = begun === null ? started : Date.parse(begun);
        return sinceStart(Date.parse(line.t), from ?? Date.parse(line.t));
      };
    case 'delta':
      return (line) => {
        const last = before(line.n - 1);
        if (last === undefined) return '';
        const ms = Math.max(0, Date.parse(line.t) - Date.parse(last.t));
        return `+${(ms / 1000).toFixed(3)}`;
      };
  }
}
