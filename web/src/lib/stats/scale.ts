// Geometry of small charts: values to places.

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** A line through `values`; where one is missing there is a gap. The bottom is zero. */
export function linePath(
  times: readonly number[],
  values: readonly (number | null)[],
  width: number,
  height: number,
): { line: string; points: readonly (Point | null)[] } {
  const first = times[0] ?? 0;
  const span = Math.max(1, (times[times.length - 1] ?? 0) - first);
  const most = Math.max(1e-9, ...values.map((value) => value ?? 0));
  const points = values.map((value, at) =>
    value === null
      ? null
      : {
          x: round(times.length < 2 ? width : (((times[at] ?? 0) - first) / span) * width),
          y: round(height - 1 - (value / most) * (height - 2)),
        },
  );
  let line = '';
  let pen = false;
  for (const [at, point] of points.entries()) {
    if (point === null) pen = false;
    else if (!pen && points.length > 1 && points[at + 1] == null) {
      // Alone between gaps: a line of no length, which round ends make a dot.
      line += `M${point.x} ${point.y}h0.01`;
    } else {
      line += `${pen ? 'L' : 'M'}${point.x} ${point.y}`;
      pen = true;
    }
  }
  // A single value is a line as well.
  if (points.length === 1 && points[0] != null) line = `M0 ${points[0].y}L${width} ${points[0].y}`;
  return { line, points };
}

/** Which of `times` is nearest to the share `share` of the way through them. */
export function nearest(times: readonly number[], share: number): number | null {
  if (times.length === 0) return null;
  const first = times[0] ?? 0;
  const wanted = first + share * ((times[times.length - 1] ?? 0) - first);
  let best = 0;
  for (const [at, time] of times.entries()) {
    if (Math.abs(time - wanted) < Math.abs((times[best] ?? 0) - wanted)) best = at;
  }
  return best;
}

/** A round number that is at least `value`: the top of an axis. */
export function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  for (const step of [1, 2, 2.5, 5, 10]) if (step * power >= value) return step * power;
  return 10 * power;
}

/** Fields as RFC 4180 has them; a formula of a spreadsheet is defused. */
export function csv(rows: readonly (readonly (string | number | null)[])[]): string {
  const field = (value: string | number | null) => {
    if (value === null) return '';
    if (typeof value === 'number') return String(value);
    const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  return rows.map((row) => `${row.map(field).join(',')}\r\n`).join('');
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
