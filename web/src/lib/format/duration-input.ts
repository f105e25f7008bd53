/** Seconds in `text` such as `90`, `90s`, `10m`, `1h30m` or `1.5h`; `null` when it is none. */
export function parseDuration(text: string): number | null {
  const trimmed = text.trim();
  if (/^\d+(\.\d+)?$/.test(trimmed)) return positive(Number(trimmed));
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d)\s*)+$/.test(trimmed)) return null;
  const size: Record<string, number> = { ms: 0.001, s: 1, m: 60, h: 3600, d: 86_400 };
  let seconds = 0;
  for (const [, value, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    seconds += Number(value) * (size[unit ?? ''] ?? 0);
  }
  return positive(seconds);
}

function positive(seconds: number): number | null {
  return seconds > 0 && Number.isFinite(seconds) ? seconds : null;
}
