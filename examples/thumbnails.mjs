#!/usr/bin/env node
// A job with a progress bar: `PROGRESS:percent:text` moves the bar of the step that is open.
import { setTimeout as sleep } from 'node:timers/promises';
import { writeFile } from 'node:fs/promises';

const photos = Array.from({ length: 40 }, (_, n) => `IMG_${String(n + 1).padStart(4, '0')}.jpg`);

console.log('META:photos:' + photos.length);

console.log('STEP_START:Scan');
console.log(`${photos.length} photos found`);
console.log('STEP_COMPLETE:Scan');

console.log('STEP_START:Make thumbnails [expected=3s]');
const sizes = [];
for (const [done, photo] of photos.entries()) {
  await sleep(50);
  sizes.push(`${photo}\t${2_000 + ((done * 7_919) % 5_000)}`);
  console.log(`${photo} -> thumbs/${photo}`);
  console.log(`PROGRESS:${((done + 1) * 100) / photos.length}:${done + 1} of ${photos.length}`);
}
console.log('STEP_COMPLETE:Make thumbnails');

console.log('STEP_SKIP:Upload:no bucket is configured');

console.log('STEP_START:Report');
await writeFile('stepflow-thumbnails.tsv', sizes.join('\n') + '\n');
console.log('ARTIFACT:stepflow-thumbnails.tsv:Size of each thumbnail, in bytes');
console.log('STEP_COMPLETE:Report');
