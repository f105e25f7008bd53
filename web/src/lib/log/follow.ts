// Whether the log follows its end. It changes by what the reader does, never by where the view is:
// a position cannot tell a reader's scrolling from the page's own.

export type Intent =
  | 'scroll-up' // wheel, touch or keys upward
  | 'scrollbar' // the bar was taken
  | 'select' // text was selected
  | 'line' // a line's link was opened, an error or a step gone to
  | 'search' // a hit was gone to
  | 'fold' // a step was folded or unfolded
  | 'rest-at-end' // the reader's own scrolling came to rest within two rows of the end
  | 'end' // the End key
  | 'jump' // "Jump to latest"
  | 'switch-on'
  | 'switch-off';

export interface Follow {
  readonly on: boolean;
  /** While off: the lines that there were when it went off; later ones are new. */
  readonly seen: number;
}

export const FOLLOW_OFF: Follow = { on: false, seen: 0 };

/** The state after `intent`, made while the log has `lines` lines. */
export function follow(state: Follow, intent: Intent, lines: number): Follow {
  switch (intent) {
    case 'scroll-up':
    case 'scrollbar':
    case 'select':
    case 'line':
    case 'search':
    case 'fold':
    case 'switch-off':
      return state.on ? { on: false, seen: lines } : state;
    case 'rest-at-end':
    case 'end':
    case 'jump':
    case 'switch-on':
      return state.on ? state : { on: true, seen: lines };
  }
}

/** How many lines came since it went off. */
export function unseen(state: Follow, lines: number): number {
  return state.on ? 0 : Math.max(0, lines - state.seen);
}
