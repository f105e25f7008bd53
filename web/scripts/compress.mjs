// Packs what `dist/` serves, as small as it goes: the server sends the packed files as they are.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const dist = new URL('../dist/', import.meta.url);
const names = readdirSync(dist, { recursive: true }).filter((name) => /\.(js|css|html|svg)$/.test(name));
for (const name of names) {
  const bytes = readFileSync(new URL(name, dist));
  const packed = {
    gz: gzipSync(bytes, { level: 9 }),
    br: brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }),
  };
  for (const [ending, data] of Object.entries(packed)) {
    if (data.length < bytes.length) writeFileSync(new URL(`${name}.${ending}`, dist), data);
  }
}
