// Rows of a table file: what its columns hold, sorted and filtered. Pure.

export type ColumnType = 'number' | 'date' | 'text';

const NUMBER = /^[+-]?(\d+|\d{1,3}(,\d{3})+)?(\.\d+)?(e[+-]?\d+)?%?$/i;
const DATE = /^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?$/;

export function numberOf(field: string): number | null {
  const text = field.trim();
  if (text === '' || !/\d/.test(text) || !NUMBER.test(text)) return null;
  return Number(text.replace(/[,%]/g, ''));
}

/** What the fields of each column are, those without text aside. */
export function columnTypes(rows: readonly (readonly string[])[], columns: number): ColumnType[] {
  return Array.from({ length: columns }, (_, column) => {
    let numbers = true;
    let dates = true;
    let any = false;
    for (const row of rows.slice(0, 2_000)) {
      const field = (row[column] ?? '').trim();
      if (field === '') continue;
      any = true;
      numbers &&= numberOf(field) !== null;
      dates &&= DATE.test(field);
      if (!numbers && !dates) break;
    }
    if (!any) return 'text';
    return numbers ? 'number' : dates ? 'date' : 'text';
  });
}

/** Whether the first row names the columns: all text, while a column below holds something else. */
export function hasHeader(rows: readonly (readonly string[])[]): boolean {
  const first = rows[0];
  if (first === undefined || rows.length < 2) return false;
  const named = first.every((field) => field.trim() !== '' && numberOf(field) === null && !DATE.test(field.trim()));
  return named && new Set(first).size === first.length;
}

export interface Sort {
  readonly column: number;
  readonly down: boolean;
}

/** Numbers of the rows that have `filter` in them, in order. Equal rows stay in theirs. */
export function arrange(
  rows: readonly (readonly string[])[],
  types: readonly ColumnType[],
  filter: string,
  sort: Sort | null,
): number[] {
  const wanted = filter.trim().toLowerCase();
  const found: number[] = [];
  rows.forEach((row, at) => {
    if (wanted === '' || row.some((field) => field.toLowerCase().includes(wanted))) found.push(at);
  });
  if (sort === null) return found;
  const { column, down } = sort;
  const sign = down ? -1 : 1;
  const field = (at: number) => rows[at]?.[column] ?? '';
  if (types[column] === 'number') {
    const values = new Map(found.map((at) => [at, numberOf(field(at))]));
    return found.sort((a, b) => {
      const [x, y] = [values.get(a) ?? null, values.get(b) ?? null];
      // What is empty stands last, whatever the direction.
      if (x === null || y === null) return x === y ? a - b : x === null ? 1 : -1;
      return sign * (x - y) || a - b;
    });
  }
  const collator = new Intl.Collator(undefined, { numeric: true });
  return found.sort((a, b) => {
    const [x, y] = [field(a), field(b)];
    if (x === '' || y === '') return x === y ? a - b : x === '' ? 1 : -1;
    return sign * collator.compare(x, y) || a - b;
  });
}
