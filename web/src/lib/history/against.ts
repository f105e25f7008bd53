// How long something took, or will still take, against what is usual for its name.

export type Against =
  | { readonly kind: 'slower' | 'faster'; readonly ratio: number }
  | { readonly kind: 'same' };

/** Less than this is how it always varies. */
const SAME = 0.1;

/** `null`: nothing to compare. Differences under half a second say nothing. */
export function against(seconds: number | null, usual: number | null): Against | null {
  if (seconds === null || usual === null || usual <= 0) return null;
  const ratio = seconds / usual - 1;
  if (Math.abs(ratio) < SAME || Math.abs(seconds - usual) < 0.5) return { kind: 'same' };
  return { kind: ratio > 0 ? 'slower' : 'faster', ratio: Math.abs(ratio) };
}

/** Seconds until the usual end, below 0 once it is over; `null`: nobody knows. */
export function left(elapsed: number | null, usual: number | null): number | null {
  return elapsed === null || usual === null ? null : usual - elapsed;
}

/** Rounded as people say it: to 5 s under a minute, to whole minutes from there. */
export function roundLeft(seconds: number): number {
  if (seconds < 60) return Math.max(5, Math.ceil(seconds / 5) * 5);
  return Math.ceil(seconds / 60) * 60;
}
