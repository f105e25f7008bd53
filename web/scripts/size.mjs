// Fails when the first page's scripts or styles are larger than the budget (gzip).
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const BUDGET = { js: 120_000, css: 20_000 };
const assets = new URL('../dist/assets/', import.meta.url);
const sum = { js: 0, css: 0 };
for (const name of readdirSync(assets)) {
  const kind = name.split('.').pop();
  if (kind in sum) sum[kind] += gzipSync(readFileSync(new URL(name, assets))).length;
}
for (const [kind, bytes] of Object.entries(sum)) {
  console.log(`${kind}: ${(bytes / 1000).toFixed(1)} kB gzip of ${BUDGET[kind] / 1000} kB`);
  if (bytes > BUDGET[kind]) process.exitCode = 1;
}
