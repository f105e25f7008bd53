// A value of JSON as rows that open and close. Pure.

export interface JsonRow {
  /** As a program would write it: `$.a[0]["b c"]`. */
  readonly path: string;
  readonly key: string | null;
  readonly level: number;
  readonly kind: 'object' | 'array' | 'string' | 'number' | 'boolean' | 'null';
  /** The value as text; of objects and arrays nothing. */
  readonly text: string;
  /** Entries of objects and arrays. */
  readonly size: number;
  readonly open: boolean;
}

export function childPath(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `${path}.${key}` : `${path}[${JSON.stringify(key)}]`;
}

function kindOf(value: unknown): JsonRow['kind'] {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'array';
  const kind = typeof value;
  return kind === 'string' || kind === 'number' || kind === 'boolean' ? kind : 'object';
}

function entriesOf(value: unknown): [string | number, unknown][] {
  if (Array.isArray(value)) return value.map((one, at) => [at, one as unknown]);
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

/** `isOpen` says which paths are open; with a `filter` all that leads to what has it is. */
export function jsonRows(
  value: unknown,
  isOpen: (path: string, level: number) => boolean,
  filter = '',
): JsonRow[] {
  const wanted = filter.trim().toLowerCase();
  const rows: JsonRow[] = [];
  const walk = (key: string | number | null, one: unknown, path: string, level: number): boolean => {
    const kind = kindOf(one);
    const entries = entriesOf(one);
    const text = kind === 'object' || kind === 'array' ? '' : JSON.stringify(one);
    const named = typeof key === 'string' && key.toLowerCase().includes(wanted);
    const hit = wanted === '' || named || text.toLowerCase().includes(wanted);
    const open = wanted !== '' || isOpen(path, level);
    const at = rows.length;
    rows.push({ path, key: key === null ? null : String(key), level, kind, text, size: entries.length, open });
    let inside = false;
    if (open) {
      for (const [name, child] of entries) {
        if (walk(name, child, childPath(path, name), level + 1)) inside = true;
      }
    }
    if (hit || inside) return true;
    rows.length = at;
    return false;
  };
  walk(null, value, '$', 1);
  return rows;
}
