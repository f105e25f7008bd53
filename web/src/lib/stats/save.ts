// Figures as a file.
import { csv } from './scale';

/** A file's name from a title: letters, digits and dashes of any script. */
export function fileName(title: string): string {
  const words = title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '');
  return `stepflow-${words === '' ? 'data' : words.slice(0, 80)}.csv`;
}

/** Has the browser save `rows`. */
export function saveCsv(title: string, rows: readonly (readonly (string | number | null)[])[]): void {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([csv(rows)], { type: 'text/csv' }));
  link.download = fileName(title);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
