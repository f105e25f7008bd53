export const RETRY_MIN_MS = 500;
export const RETRY_MAX_MS = 15_000;

/**
 * How long to wait before the try after `failures` failed ones: doubled from 0.5 s to 15 s, then a
 * random share of the upper half taken off, so that the viewers of a server that came back do not
 * all arrive at once. `random` is from 0 to 1.
 */
export function retryDelay(failures: number, random: number): number {
  const full = Math.min(RETRY_MAX_MS, RETRY_MIN_MS * 2 ** Math.min(failures, 16));
  return Math.max(RETRY_MIN_MS, Math.round(full * (1 - random / 2)));
}
