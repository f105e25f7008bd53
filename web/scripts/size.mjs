// Fails when the first page's scripts or styles are larger than the budget (gzip, as sent). What is loaded
// later, when a page asks for it, has a budget of its own.
import { readFileSync, readdirSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = { js: 120_000, css: 20_000 };
const LATER = 60_000; // Each file that is loaded on demand,
const LOG = { js: 25_000 }; // of which the log viewer has a budget of its own.
const dist = new URL('../dist/', import.meta.url);
const read = (file) => readFileSync(new URL(file, dist));
const page = read('index.html').toString();

/** What the page names, and what those scripts import before they run. */
function collect(file, found) {
  if (found.has(file)) return;
  found.add(file);
  if (!file.endsWith('.js')) return;
  const text = read(file).toString();
  for (const [, name] of text.matchAll(/(?:from|import)\s*"\.\/([\w.-]+\.js)"/g)) {
    collect(`assets/${name}`, found);
  }
}

const first = new Set();
for (const [, file] of page.matchAll(/(?:src|href)="[^"]*?(assets\/[^"]+)"/g)) collect(file, first);
if (![...first].some((file) => file.endsWith('.js'))) throw new Error('the page names no script');
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB gzip`;
for (const [kind, budget] of Object.entries(BUDGET)) {
  const files = [...first].filter((file) => file.endsWith(`.${kind}`));
  const bytes = files.reduce((sum, file) => sum + gzipSync(read(file), { level: 9 }).length, 0);
  console.log(`${kind}: ${kb(bytes)} of ${budget / 1000} kB`);
  if (bytes > budget) process.exitCode = 1;
}
for (const name of readdirSync(new URL('assets/', dist))) {
  const file = `assets/${name}`;
  if (first.has(file) || !/\.(js|css)$/.test(name)) continue;
  const bytes = gzipSync(read(file), { level: 9 }).length;
  console.log(`${name}: ${kb(bytes)}, on demand`);
  if (bytes > (/^log-[\w-]{8}\.js$/.test(name) ? LOG.js : LATER)) process.exitCode = 1;
}
