// PNG files made small: 256 colours, which is all that a page without photographs has.
import { deflateSync, inflateSync } from 'node:zlib';

const SIGNATURE = Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]);
const COLOURS = 256;

/** `png`, 8 bits of RGB or RGBA as browsers write it, with a palette. */
export function smaller(png) {
  const { width, height, pixels } = decode(png);
  const { palette, indexes } = reduce(pixels);
  const rows = Buffer.alloc((width + 1) * height);
  for (let y = 0; y < height; y++) rows.set(indexes.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([8, 3, 0, 0, 0], 8);
  const made = Buffer.concat([
    SIGNATURE,
    chunk('IHDR', head),
    chunk('PLTE', Buffer.from(palette.flat())),
    chunk('IDAT', deflateSync(rows, { level: 9, memLevel: 9 })),
    chunk('IEND', Buffer.alloc(0)),
  ]);
  return made.length < png.length ? made : png;
}

/** Pixels as numbers 0xRRGGBB. */
function decode(png) {
  if (!png.subarray(0, 8).equals(SIGNATURE)) throw new Error('this is no PNG');
  let at = 8;
  let head = null;
  const parts = [];
  while (at < png.length) {
    const length = png.readUInt32BE(at);
    const kind = png.toString('latin1', at + 4, at + 8);
    const data = png.subarray(at + 8, at + 8 + length);
    if (kind === 'IHDR') head = data;
    else if (kind === 'IDAT') parts.push(data);
    at += length + 12;
  }
  const [width, height, depth, colour, interlace] = [head.readUInt32BE(0), head.readUInt32BE(4), head[8], head[9], head[12]];
  const size = { 2: 3, 6: 4 }[colour];
  if (depth !== 8 || size === undefined || interlace !== 0) throw new Error('not 8 bits of RGB or RGBA');
  const raw = inflateSync(Buffer.concat(parts));
  const line = width * size;
  const pixels = new Uint32Array(width * height);
  let above = Buffer.alloc(line);
  for (let y = 0; y < height; y++) {
    const filter = raw[y * (line + 1)];
    const row = raw.subarray(y * (line + 1) + 1, (y + 1) * (line + 1));
    for (let x = 0; x < line; x++) {
      const left = x < size ? 0 : row[x - size];
      const corner = x < size ? 0 : above[x - size];
      row[x] += [0, left, above[x], (left + above[x]) >> 1, paeth(left, above[x], corner)][filter];
    }
    for (let x = 0; x < width; x++) {
      pixels[y * width + x] = (row[x * size] << 16) | (row[x * size + 1] << 8) | row[x * size + 2];
    }
    above = row;
  }
  return { width, height, pixels };
}

function paeth(left, above, corner) {
  const [a, b, c] = [left, above, corner].map((one) => Math.abs(left + above - corner - one));
  return a <= b && a <= c ? left : b <= c ? above : corner;
}

/** The colours that count most, each the mean of those near it, and every pixel's nearest. */
function reduce(pixels) {
  const counts = new Map();
  for (const one of pixels) counts.set(one, (counts.get(one) ?? 0) + 1);
  const split = (one) => [one >> 16, (one >> 8) & 255, one & 255];
  let palette = [...counts.keys()].map(split);
  if (palette.length > COLOURS) {
    // What covers much stays exact; the rest, edges of letters, shares what is left.
    const sorted = [...counts].sort((a, b) => b[1] - a[1]);
    palette = sorted.slice(0, COLOURS / 2).map(([one]) => split(one));
    const near = new Map();
    for (const [one, count] of sorted.slice(COLOURS / 2)) {
      const parts = split(one);
      const key = parts.map((part) => part >> 4).join();
      const sum = near.get(key) ?? [0, 0, 0, 0];
      near.set(key, [...parts.map((part, at) => sum[at] + part * count), sum[3] + count]);
    }
    const means = [...near.values()].sort((a, b) => b[3] - a[3]).slice(0, COLOURS - palette.length);
    palette.push(...means.map((sum) => sum.slice(0, 3).map((part) => Math.round(part / sum[3]))));
  }
  const nearest = new Map();
  for (const one of counts.keys()) {
    const [r, g, b] = split(one);
    let best = 0;
    let least = Infinity;
    for (const [at, [pr, pg, pb]] of palette.entries()) {
      const far = 2 * (r - pr) ** 2 + 4 * (g - pg) ** 2 + 3 * (b - pb) ** 2;
      if (far < least) [best, least] = [at, far];
    }
    nearest.set(one, best);
  }
  return { palette, indexes: Uint8Array.from(pixels, (one) => nearest.get(one)) };
}

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let bit = 0; bit < 8; bit++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function chunk(kind, data) {
  const body = Buffer.concat([Buffer.from(kind, 'latin1'), data]);
  let crc = 0xffffffff;
  for (const byte of body) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  const made = Buffer.alloc(body.length + 8);
  made.writeUInt32BE(data.length, 0);
  made.set(body, 4);
  made.writeUInt32BE((crc ^ 0xffffffff) >>> 0, body.length + 4);
  return made;
}
