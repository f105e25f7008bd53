#!/usr/bin/env node
// Every function once: stepflow run -- node example.mjs
import { writeFile } from 'node:fs/promises';

import { artifact, meta, progress, skip, step } from './index.js';

meta('language', 'node');

const answer = step('Load', () => {
  console.log('loading');
  progress(50, 'half');
  return 42;
}, { expected: 2 });

await step('Build', async () => {
  await step('client', async () => console.log('client built'));
  await Promise.all(
    ['api', 'web'].map((name) =>
      step(name, async () => {
        await new Promise((done) => setTimeout(done, 5));
        console.log(name, 'built');
      }),
    ),
  );
}, { bundler: 'none' });

await step('Report', async () => {
  await writeFile('stepflow-answer.txt', `${answer}\n`);
  artifact('stepflow-answer.txt', 'The answer');
});

await step('Fail', async () => {
  throw new TypeError('no data');
}).catch(() => {});

skip('Deploy', 'not on main');
