// Every point that the page promises has a test that carries its name.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { MUTANTS, patternOf, printOf, readSeen, SEEN } from './mutants.list.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const span = (letter, from, to) =>
  Array.from({ length: to - from + 1 }, (_, at) => `${letter}${from + at}`);
const PROMISED = [
  ...['U1', 'U2', 'U3', 'U4', 'U6', 'U7', 'U8', 'U9', 'U10'],
  ...span('L', 1, 25),
  ...span('X', 1, 5),
  ...span('K', 1, 4),
  ...span('A', 1, 8),
  ...span('P', 1, 9),
  ...['T3', 'T4', 'T5', 'T6', 'T8'],
];

const files = (dir, wanted) =>
  readdirSync(`${root}/${dir}`, { recursive: true })
    .filter((name) => wanted.test(name) && !name.includes('node_modules'))
    .map((name) => readFileSync(`${root}/${dir}/${name}`, 'utf8'));

/** The ids in the names of tests, and those of the budgets that a script measures. */
function named() {
  const found = new Set();
  const add = (text) => {
    for (const [id] of text.matchAll(/\b[ULXKAPT]\d{1,2}\b/g)) found.add(id);
  };
  for (const text of [...files('web/src', /\.test\.ts$/), ...files('web/e2e', /\.test\.mjs$/)]) {
    for (const [, , title] of text.matchAll(/\b(?:it|test|describe)(?:\.\w+)?\(\s*(['"`])((?:(?!\1)[^\\]|\\.)*)\1/g)) {
      add(title);
    }
  }
  for (const text of files('web/bench', /\.mjs$/)) {
    for (const [, id] of text.matchAll(/\bfigure\('(P\d)'/g)) add(id);
  }
  // Rust has no room for them in its names: a comment above the test says which it is for.
  for (const text of files('crates', /tests?\/.*\.rs$/)) {
    for (const [, ids] of text.matchAll(/^\s*\/\/\/? Page: ([^\n]+)\n(?:\s*\/\/[^\n]*\n)*\s*#\[(?:tokio::)?test/gm)) add(ids);
  }
  return found;
}

it('every promised point of the page has a test', () => {
  const found = named();
  const missing = PROMISED.filter((id) => !found.has(id));
  assert.deepEqual(missing, [], 'points without a test');
});

// A test counts only if it was seen failing. Breaking the page and building it again for each takes
// an hour, so `mutants.mjs` does it beside CI and writes down what it saw; here is looked whether
// that is complete, and whether it is about the page and the tests as they are now.
/** These are measured: a script fails when a figure is above its budget. */
const MEASURED = new Set(span('P', 1, 9));
const WHERE = (mutant) => mutant.unit ?? `e2e/${mutant.e2e}`;
/** The first strings of calls: names of tests, and of what they stand in, are among them. */
const titles = (text) =>
  [...text.matchAll(/\(\s*(['"`])((?:(?!\1)[^\\\n]|\\.)*)\1\s*,/g)].map(([, , title]) => title.replace(/\\(.)/g, '$1'));

it('every promised point has a mutant', () => {
  const covered = new Set(MUTANTS.flatMap(({ ids }) => ids));
  assert.deepEqual(PROMISED.filter((id) => !covered.has(id) && !MEASURED.has(id)), [], 'points without a mutant');
  const known = new Set(PROMISED);
  assert.deepEqual([...covered].filter((id) => !known.has(id)), [], 'points that nobody promised');
});

it('what a mutant breaks is still there, once, and so is the test that has to notice', () => {
  const wrong = [];
  for (const mutant of MUTANTS) {
    const text = readFileSync(`${root}/web/${mutant.file}`, 'utf8');
    const times = text.split(mutant.from).length - 1;
    if (times !== 1) wrong.push(`${mutant.what}: ${times} times in ${mutant.file}`);
    const pattern = new RegExp(patternOf(mutant));
    const source = readFileSync(`${root}/web/${WHERE(mutant)}`, 'utf8');
    // A name made of parts is compared as far as it is written out.
    const named = titles(source).some((title) => pattern.test(title) || (mutant.name ?? '').startsWith(title.split(/\$\{|%/)[0] || '\0'));
    if (!named) wrong.push(`${mutant.what}: no test named so in ${WHERE(mutant)}`);
  }
  const what = MUTANTS.map((mutant) => mutant.what);
  wrong.push(...what.filter((one, at) => what.indexOf(one) !== at).map((one) => `twice: ${one}`));
  assert.deepEqual(wrong, []);
});

it('every mutant was seen to make its test fail, as it is now', () => {
  const seen = readSeen(readFileSync(`${root}/web/e2e/mutants.md`, 'utf8'));
  const unseen = MUTANTS.filter((mutant) => {
    const row = seen.get(mutant.what);
    return row?.verdict !== SEEN || row.print !== printOf(mutant);
  });
  assert.deepEqual(unseen.map(({ ids, what }) => `${ids.join(' ')}: ${what}`), [], 'run node e2e/mutants.mjs --new');
  const counted = new Set(MUTANTS.flatMap(({ ids }) => ids));
  assert.deepEqual(PROMISED.filter((id) => !counted.has(id) && !MEASURED.has(id)), []);
});
