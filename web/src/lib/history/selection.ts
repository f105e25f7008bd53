// Which rows are chosen: one, a range from the last one that was chosen, or all. Pure.

export interface Selection {
  readonly ids: ReadonlySet<string>;
  /** Where a range begins. */
  readonly anchor: string | null;
}

export const NONE: Selection = { ids: new Set(), anchor: null };

export function toggle(selection: Selection, id: string): Selection {
  const ids = new Set(selection.ids);
  if (!ids.delete(id)) ids.add(id);
  return { ids, anchor: id };
}

/** Adds all from the anchor to `id` in the order of the rows; without an anchor, `id` alone. */
export function extend(selection: Selection, id: string, order: readonly string[]): Selection {
  const to = order.indexOf(id);
  const from = selection.anchor === null ? to : order.indexOf(selection.anchor);
  if (to < 0) return selection;
  const ids = new Set(selection.ids);
  const start = from < 0 ? to : from;
  for (let at = Math.min(start, to); at <= Math.max(start, to); at++) ids.add(order[at]!);
  return { ids, anchor: selection.anchor ?? id };
}

/** The rows to be mounted of `count` equal ones, with `spare` either side of those in view. */
export function rowsInView(
  count: number,
  height: number,
  top: number,
  viewport: number,
  spare = 20,
): { readonly from: number; readonly to: number } {
  const first = Math.floor(Math.max(0, top) / height) - spare;
  const last = Math.ceil(Math.max(0, top + viewport) / height) + spare;
  const to = Math.min(count, Math.max(last, 0));
  return { from: Math.max(0, Math.min(first, to)), to };
}

/** A field of a CSV file. What a spreadsheet would take for a formula is made text. */
export function csvField(value: unknown): string {
  let text = value === null || value === undefined ? '' : String(value);
  if (typeof value === 'string' && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
  return /[",\r\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
}
