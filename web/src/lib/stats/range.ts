// The time that statistics are of: one of a few lengths up to now, or days that the reader names.

export const RANGES = { '24h': 1, '7d': 7, '30d': 30, '90d': 90 } as const;
export type Range = keyof typeof RANGES;

const DAY_MS = 86_400_000;
/** Most days that the server counts at once. */
export const DAYS_MAX = 400;

export interface Span {
  /** Milliseconds since 1970. */
  readonly since: number;
  /** `null`: now. */
  readonly until: number | null;
  /** The button that is pressed; `null`: days of the reader's own. */
  readonly range: Range | null;
}

/** Midnight at the start of `day` (`2026-11-22`), by the reader's clock or UTC; `null` for no day. */
function midnight(day: string | null, utc: boolean, later: number): number | null {
  const [, y, m, d] = /^(\d{4})-(\d{2})-(\d{2})$/.exec(day ?? '') ?? [];
  if (y === undefined) return null;
  const parts = [Number(y), Number(m) - 1, Number(d)] as const;
  const there = new Date(Date.UTC(...parts));
  if (there.getUTCMonth() !== parts[1] || there.getUTCDate() !== parts[2]) return null; // No 31st of June.
  return utc
    ? Date.UTC(parts[0], parts[1], parts[2] + later)
    : new Date(parts[0], parts[1], parts[2] + later).getTime();
}

/** What an address asks for: `range=`, or whole days `from=` and `to=`, both within the span. */
export function spanOf(query: URLSearchParams, now: number, utc: boolean): Span {
  const since = midnight(query.get('from'), utc, 0);
  const until = midnight(query.get('to'), utc, 1);
  const end = until === null || until > now ? null : until;
  const length = (end ?? now) - (since ?? Number.NaN);
  if (since !== null && length > 0 && length <= DAYS_MAX * DAY_MS) return { since, until: end, range: null };
  const range = (Object.keys(RANGES) as Range[]).find((one) => one === query.get('range')) ?? '7d';
  return { since: now - RANGES[range] * DAY_MS, until: null, range };
}
