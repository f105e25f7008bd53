// The log's time column: fixed width, the same in every language, milliseconds always.

function pad(value: number, width: number): string {
  return String(value).padStart(width, '0');
}

/** `14:02:31.120` in the browser's zone. */
export function clockTime(ms: number): string {
  const d = new Date(ms);
  return `${pad(d.getHours(), 2)}:${pad(d.getMinutes(), 2)}:${pad(d.getSeconds(), 2)}.${pad(d.getMilliseconds(), 3)}`;
}

/** `+0:01:02.345` since the start. */
export function sinceStart(ms: number, startMs: number): string {
  const total = Math.max(0, Math.floor(ms - startMs));
  const seconds = Math.floor(total / 1000);
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return `+${hours}:${pad(minutes, 2)}:${pad(seconds % 60, 2)}.${pad(total % 1000, 3)}`;
}
