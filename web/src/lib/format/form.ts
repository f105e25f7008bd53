export type Environment =
  | { readonly ok: true; readonly values: Record<string, string>; readonly count: number }
  | { readonly ok: false; readonly line: number };

/** Lines `KEY=value`; empty lines and comments are passed over, a value is taken as it is. */
export function parseEnvironment(text: string): Environment {
  const values: [string, string][] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '' || line.trim().startsWith('#')) continue;
    const match = /^\s*(?:export\s+)?([^=\s]+)=(.*)$/.exec(line);
    if (match === null) return { ok: false, line: index + 1 };
    values.push([match[1] ?? '', match[2] ?? '']);
  }
  return { ok: true, values: Object.fromEntries(values), count: values.length };
}

/** Words separated by commas, each once. */
export function parseTags(text: string): string[] {
  const tags = text.split(',').map((tag) => tag.trim());
  return [...new Set(tags.filter((tag) => tag !== ''))];
}
