// Rules that the type checker does not know: no HTML strings, no inline styles in markup, no text
// outside the catalogues, no unused text.
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'svelte/compiler';

const root = fileURLToPath(new URL('..', import.meta.url));
const problems = [];

function files(dir) {
  return readdirSync(dir, { withFileTypes: true }).flatMap((entry) => {
    const path = join(dir, entry.name);
    return entry.isDirectory() ? files(path) : [path];
  });
}

const sources = files(join(root, 'src'))
  .filter((path) => /\.(svelte|ts|js)$/.test(path))
  .map((path) => ({ path, text: readFileSync(path, 'utf8') }));

function report(path, text, at, message) {
  const line = text.slice(0, at).split('\n').length;
  problems.push(`${relative(root, path)}:${line}: ${message}`);
}

const BANNED = [
  [/\{@html/g, '{@html}: text from scripts is hostile; make text nodes'],
  [/\b(inner|outer)HTML\b/g, 'HTML strings: make nodes'],
  [/\binsertAdjacentHTML\b/g, 'HTML strings: make nodes'],
  [/\bdocument\.write\b/g, 'document.write'],
  [/\b(eval|alert|confirm|prompt)\(/g, 'not in this page'],
  [/\bnew Function\(/g, 'not under the policy'],
  [/href="\//g, "an address without the base path: href={at('/…')}"],
];
for (const { path, text } of sources) {
  if (path.endsWith('.test.ts')) continue;
  for (const [pattern, message] of BANNED) {
    for (const match of text.matchAll(pattern)) report(path, text, match.index, message);
  }
}

const WORDS = /\p{L}{2,}/u;
const SHOWN = new Set(['title', 'aria-label', 'alt', 'label']);
function walk(node, path, text, inCode) {
  if (node === null || typeof node !== 'object') return;
  if (Array.isArray(node)) {
    for (const child of node) walk(child, path, text, inCode);
    return;
  }
  if (node.type === 'Text' && !inCode && WORDS.test(node.data)) {
    report(path, text, node.start, `text outside the catalogues: ${node.data.trim()}`);
  }
  if (node.type === 'StyleDirective') return; // CSS, not text.
  if (node.type === 'Attribute') {
    const values = Array.isArray(node.value) ? node.value : [];
    if (node.name === 'style') report(path, text, node.start, 'style attribute: use style:');
    if (SHOWN.has(node.name) && values.some((v) => v.type === 'Text' && WORDS.test(v.data))) {
      report(path, text, node.start, `text outside the catalogues in ${node.name}`);
    }
    return;
  }
  const code = inCode || node.name === 'code' || node.name === 'pre';
  for (const [key, child] of Object.entries(node)) {
    if (key !== 'expression' && key !== 'parent') walk(child, path, text, code);
  }
}
for (const { path, text } of sources) {
  if (!path.endsWith('.svelte')) continue;
  walk(parse(text, { modern: true, filename: path }).fragment, path, text, false);
}

const isCatalogue = (path) => /i18n\/(en|zh-CN)(\/\w+)?\.ts$/.test(path);
const catalogue = sources
  .filter(({ path }) => /i18n\/en(\/\w+)?\.ts$/.test(path))
  .map(({ text }) => text)
  .join('\n');
const keys = [...catalogue.matchAll(/^ {2}'([\w.-]+)':/gm)].map((match) => match[1]);
const code = sources.filter(({ path }) => !isCatalogue(path) && !path.endsWith('.test.ts'));
const used = code.map(({ text }) => text).join('\n');
const prefixes = [...used.matchAll(/`([\w.]+\.)\$\{/g)].map((match) => match[1]);
for (const key of keys) {
  const named = used.includes(`'${key}'`) || prefixes.some((prefix) => key.startsWith(prefix));
  if (!named) problems.push(`src/lib/i18n: unused text ${key}`);
}

for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exit(1);
console.log(`lint: ${sources.length} files, ${keys.length} texts`);
